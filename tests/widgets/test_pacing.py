"""A widget is drawn often enough, never too often, and not at all if nobody looks."""

import asyncio
import threading

from asyncsim.widgets.base import INTERVAL, UNSEEN, Throttle


class Loop:
    """An event loop that does what it is asked to when it is told to."""

    def __init__(self):
        self.soon, self.later = [], []

    def is_closed(self):
        return False

    def call_soon_threadsafe(self, deed):
        self.soon.append(deed)

    def call_later(self, wait, deed):
        timer = asyncio.TimerHandle(wait, deed, (), self)
        self.later.append(timer)
        return timer

    def get_debug(self):
        return False

    def _timer_handle_cancelled(self, timer):
        self.later.remove(timer)


class Watched:
    """A pace with a loop and a clock of its own."""

    def __init__(self, loop=True):
        self.now, self.shown = 0.0, 0
        self.loop = Loop() if loop else None
        self.pace = Throttle(self.show, self.loop, lambda: self.now)

    def show(self):
        self.shown += 1

    def on_time(self):
        timer = self.loop.later.pop()
        timer._run()


def test_without_a_loop_each_change_is_shown():
    """There is nobody who could do it later."""
    watched = Watched(loop=False)
    for _ in range(5):
        watched.pace.changed()
    assert watched.shown == 5


def test_a_flood_of_changes_is_shown_once_per_interval():
    """The first at once, the last when it is time."""
    watched = Watched()
    for _ in range(100):
        watched.pace.changed()
    assert (watched.shown, len(watched.loop.later)) == (1, 1)
    watched.now += INTERVAL
    watched.on_time()
    assert watched.shown == 2
    assert not watched.loop.later


def test_a_busy_loop_is_no_reason_not_to_show():
    """Its timer never comes; the next change that is late enough takes its place."""
    watched = Watched()
    watched.pace.changed()
    watched.pace.changed()
    watched.now += INTERVAL
    watched.pace.changed()
    assert watched.shown == 2
    assert not watched.loop.later


def test_changes_in_other_threads_are_shown_in_the_loops():
    """A flood of them calls the loop once."""
    watched = Watched()

    def flood():
        for _ in range(100):
            watched.pace.changed()

    thread = threading.Thread(target=flood)
    thread.start()
    thread.join()
    assert (watched.shown, len(watched.loop.soon)) == (0, 1)
    watched.loop.soon.pop()()
    assert watched.shown == 1


def test_what_nobody_sees_is_not_shown_for_ever():
    """Until somebody says that a picture was seen; what a person asks for is shown always."""
    watched = Watched()
    for _ in range(UNSEEN + 10):
        watched.now += INTERVAL
        watched.pace.changed()
    assert watched.shown == UNSEEN
    watched.pace.show()
    assert watched.shown == UNSEEN + 1
    watched.now += INTERVAL
    watched.pace.changed()
    watched.pace.seen()
    assert watched.shown == UNSEEN + 2
