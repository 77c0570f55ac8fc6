"""A waiting step without an engine: it answers a strategy from a table and writes down its acts."""

from __future__ import annotations

import zlib
from datetime import date

from asyncsim.model.calendar import Calendar
from asyncsim.model.random_streams import counter_based_uniform


class FakeStep:
    """Stands in for a waiting step; `complete` is when the outside work is done."""

    serial_number = "5_31"
    calendar = Calendar(date(2026, 1, 5))
    foreseen = float("inf")

    def __init__(self, armed=0.0, last_check=None, *, complete=float("inf"), number=0, key=7):
        self.armed = armed
        self.checks = 0
        self.last_check = armed if last_check is None else last_check
        self.now = self.last_check
        self.complete = complete
        self.number = number
        self.key = key
        self.notes = {}
        self.acts = []
        self.answers = []

    def until(self, instant):
        self.now = instant
        return ("until", instant)

    def after(self, seconds):
        self.now += seconds
        return ("after", seconds)

    def chance(self, what, k=0):
        return counter_based_uniform(zlib.crc32(what.encode()) ^ self.key, self.number, k)

    def duration(self, what, law, k=0):
        return law.mean

    def check(self):
        self.checks += 1
        self.last_check = self.now
        self.acts.append(("check", self.now))
        return self.now >= self.complete
        yield

    def hold(self, seconds):
        self.acts.append(("hold", self.now))
        self.now = min(self.now + seconds, max(self.complete, self.now))
        return self.now >= self.complete
        yield

    def give_up(self):
        self.acts.append(("give up", self.now))

    is_down = is_switched_off = False
    asked_to_wait = 0.0

    def turn(self):
        return ("turn", self.now)

    def settled(self, off_by_410=False):
        pass

    def deliver(self, delay, attempt=0, within=None):
        self.acts.append(("deliver", self.now + delay, attempt))
        return self.answers.pop(0) if self.answers else True
        yield

    def deliver_copy(self, delay, attempt=0):
        self.acts.append(("copy", self.now + delay, attempt))

    def lose(self, attempt=0):
        self.acts.append(("lost", self.now, attempt))

    def dead_letter(self, off_after=None):
        self.acts.append(("dead", self.now))


def play(process):
    """Run a strategy's process to its end, without a clock."""
    for _ in process or ():
        pass
