"""Run as a program: plays and finishes while a thread presses Ctrl-C at random moments.

``interrupted.py STORE COUNT`` ends after COUNT interrupts, and prints which numbers were finished
and which may have been.
"""

import json
import random
import signal
import sys
import threading

import asyncsim as sim
from asyncsim.engine.waits import Answer

signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job ignores Ctrl-C
path, count = sys.argv[1], int(sys.argv[2])
chance = random.Random(1)
armed, arrived, noticed = threading.Event(), threading.Event(), threading.Event()
finished, perhaps = set(), set()


def press():
    """Press Ctrl-C; one that falls into a finaliser is swallowed by Python, so press again."""
    while True:
        armed.wait()
        threading.Event().wait(chance.expovariate(1 / 0.001))
        noticed.clear()
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
        noticed.wait(3.0)
        if arrived.is_set():
            armed.clear()
            arrived.clear()
            acknowledged.set()


sys.unraisablehook = lambda _: noticed.set()  # Python reports an interrupt that it swallows
acknowledged = threading.Event()
session = sim.live(store=path)
threading.Thread(target=press, daemon=True).start()
hits = 0
while hits < count:
    number = f"{random.randrange(1, 100)}_2"
    try:
        armed.set()
        while True:
            session.run_for(0.02)
            if session.finish(number, strict=False) is Answer.FINISHED:
                finished.add(number)
            number = f"{random.randrange(1, 100)}_2"
    except KeyboardInterrupt:
        arrived.set()
        noticed.set()
        acknowledged.wait()  # until then another one may be on its way
        acknowledged.clear()
        hits += 1
        perhaps.add(number)
    if hits % 25 == 0:  # as another process does: no lock is left behind
        sim.finish_in_store(path, f"{random.randrange(1, 20)}_3")
session.run_for(1.0)
session.close()
print(json.dumps({"finished": sorted(finished), "perhaps": sorted(perhaps)}))
