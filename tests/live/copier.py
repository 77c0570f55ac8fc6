"""Run as a program: plays a store, finishes numbers, and copies, reads and zips its files.

``copier.py STORE FOLDER SEED`` plays; ``copier.py STORE finish SEED`` finishes as another process
does. Each finish that was acknowledged is a line on standard output that ends with a full stop.
"""

import random
import shutil
import sys
import threading
from pathlib import Path

import asyncsim as sim
from asyncsim.engine.waits import Answer

store, folder, seed = sys.argv[1:]
chance = random.Random(seed)


def copy():
    copies = Path(folder)
    copies.mkdir()
    while True:
        for ending in ("", "-wal", "-shm", ".owner", ".turn"):
            shutil.copy(store + ending, copies / f"copy{ending}")
        shutil.make_archive(str(copies / "all"), "zip", Path(store).parent)


if folder == "finish":
    while True:
        number = f"{chance.randrange(1, 601)}_1"
        if sim.finish_in_store(store, number) is Answer.FINISHED:
            print("finished", number, ".", flush=True)
session = sim.live(store=store)
threading.Thread(target=copy, daemon=True).start()
print("ready", flush=True)
while True:
    number = f"{chance.randrange(1, 601)}_1"
    if session.finish(number, strict=False) is Answer.FINISHED:
        print("finished", number, ".", flush=True)
    session.run_for(0.1)
