"""Run as a program: plays the session of a store in processes that are there to be killed.

For each line on standard input a child is forked that plays, slice by slice, for ever. It prints
``pid`` and its process number when it begins, and ``slice`` after each. Forking spares a hundred
imports.
"""

import os
import sys

import asyncsim as sim


def say(line):
    os.write(1, f"{line}\n".encode())  # whole or not at all: it may be killed at any moment


def play(path):
    say(f"pid {os.getpid()}")
    session = sim.live(store=path)
    while True:
        session.run_for(30)
        say("slice")


for _ in sys.stdin:
    if os.fork() == 0:
        play(sys.argv[1])
    os.wait()
