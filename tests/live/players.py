"""Run as a program: plays the session of a store in processes that are there to be killed.

For each line on standard input a child is forked that plays, slice by slice, for ever; its process
number is printed when it begins. Forking spares a hundred imports.
"""

import os
import sys

import asyncsim as sim


def play(path):
    print(os.getpid(), flush=True)
    session = sim.live(store=path)
    while True:
        session.run_for(0.5)


for _ in sys.stdin:
    if os.fork() == 0:
        play(sys.argv[1])
    os.wait()
