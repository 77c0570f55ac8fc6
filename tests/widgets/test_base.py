"""Updates are throttled: at most ten a second, and none once no page acknowledges them."""

import asyncio
import threading

from asyncsim.widgets.base import INTERVAL, UNACKNOWLEDGED, Throttle


class Loop:
    """An event loop whose calls and timers a test runs by hand."""

    def __init__(self):
        self.soon, self.later = [], []

    def is_closed(self):
        return False

    def call_soon_threadsafe(self, action):
        self.soon.append(action)

    def call_later(self, wait, action):
        timer = asyncio.TimerHandle(wait, action, (), self)
        self.later.append(timer)
        return timer

    def get_debug(self):
        return False

    def _timer_handle_cancelled(self, timer):
        self.later.remove(timer)


class Watched:
    """A throttle with its own loop and clock."""

    def __init__(self, loop=True):
        self.now, self.shown = 0.0, 0
        self.loop = Loop() if loop else None
        self.throttle = Throttle(self.show, self.loop, lambda: self.now)

    def show(self):
        self.shown += 1

    def run_timer(self):
        timer = self.loop.later.pop()
        timer._run()


def test_without_a_loop_each_change_is_shown():
    """No loop could send it later."""
    watched = Watched(loop=False)
    for _ in range(5):
        watched.throttle.changed()
    assert watched.shown == 5


def test_many_changes_are_shown_once_per_interval():
    """The first at once, the last after the interval."""
    watched = Watched()
    for _ in range(100):
        watched.throttle.changed()
    assert (watched.shown, len(watched.loop.later)) == (1, 1)
    watched.now += INTERVAL
    watched.run_timer()
    assert watched.shown == 2
    assert not watched.loop.later


def test_a_busy_loop_does_not_delay_updates():
    """The timer does not fire; the first change after the interval is shown instead."""
    watched = Watched()
    watched.throttle.changed()
    watched.throttle.changed()
    watched.now += INTERVAL
    watched.throttle.changed()
    assert watched.shown == 2
    assert not watched.loop.later


def test_changes_in_other_threads_are_shown_in_the_thread_of_the_loop():
    """Many changes call the loop once."""
    watched = Watched()

    def flood():
        for _ in range(100):
            watched.throttle.changed()

    thread = threading.Thread(target=flood)
    thread.start()
    thread.join()
    assert (watched.shown, len(watched.loop.soon)) == (0, 1)
    watched.loop.soon.pop()()
    assert watched.shown == 1


def test_updates_stop_without_acknowledgement():
    """Until a page acknowledges one; an update after an action of the user is always sent."""
    watched = Watched()
    for _ in range(UNACKNOWLEDGED + 10):
        watched.now += INTERVAL
        watched.throttle.changed()
    assert watched.shown == UNACKNOWLEDGED
    watched.throttle.update()
    assert watched.shown == UNACKNOWLEDGED + 1
    watched.now += INTERVAL
    watched.throttle.changed()
    watched.throttle.acknowledged()
    assert watched.shown == UNACKNOWLEDGED + 2
