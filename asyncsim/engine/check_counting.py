"""Checks free of charge are not played: their number follows from the completion.

A wait of a day polled every ten seconds makes 8,640 checks, of which one sees the completion. Where
a check costs no worker and the specification of the strategy has a schedule, only that one is put
on the clock, and the others are counted. The tables are the same to the last bit as if each had
been played.
"""

from __future__ import annotations

import math

from asyncsim.engine.contexts import SimulationContext, WaitContext
from asyncsim.engine.environment import EventKind, TrackingEnvironment, order
from asyncsim.engine.waits import State, Wait
from asyncsim.model.specifications import Schedule
from asyncsim.model.strategy_base import schedule_of


class CheckFastForward:
    """Counts the checks of waits by their schedule, and plays the one that sees completion."""

    def __init__(self, simulation: SimulationContext, schedule: Schedule) -> None:
        self.clock = TrackingEnvironment()
        """The clock of the simulation, since what is counted depends on the order of events."""
        self._simulation = simulation
        self._schedule = schedule

    @classmethod
    def of(cls, simulation: SimulationContext) -> CheckFastForward | None:
        """Return the skipped checks of a simulation, or None if checks have to be played."""
        schedule = schedule_of(simulation.strategy)
        if schedule is None or schedule.limit is not None or simulation.scenario.server.poll_work:
            return None
        return cls(simulation, schedule)

    def completed(self, wait: Wait) -> None:
        """Count the checks that came before now, and put the one that sees completion on."""
        clock = self.clock
        step = self._skip(wait, clock.now)
        at = self._schedule.next_check(step)
        again = at == clock.now and self._is_over(wait)
        kind = EventKind.LAST_LOOK if again else EventKind.CHECK_DUE
        due = clock.at(at, order(kind, wait.row, wait.number))
        due.callbacks.append(lambda _: self._check(wait, again))

    def _check(self, wait: Wait, again: bool) -> None:
        if wait.state is State.ARMED:
            wait.checks += 1
            self._simulation.finish(wait)
        elif again:  # its first look was made before the wait was over
            wait.checks += 1
            wait.wasted_checks += 1
            self._simulation.waits.changed(wait)

    def count(self, wait: Wait) -> None:
        """Count the checks a wait has had by now, if its work is not complete."""
        if wait.completed == math.inf and not math.isnan(wait.armed):
            now = self.clock.now
            self._skip(wait, math.nextafter(now, math.inf) if self._is_over(wait) else now)

    def _skip(self, wait: Wait, before: float) -> WaitContext:
        step = WaitContext(self._simulation, wait, EventKind.CHECK_DUE)
        step.checks = 0
        self._schedule.skip(step, before)
        wait.checks = wait.wasted_checks = step.checks
        return step

    def _is_over(self, wait: Wait) -> bool:
        """Tell whether a check that was due at this very instant has come before this moment."""
        return order(EventKind.CHECK_DUE, wait.row, wait.number) < self.clock.reached
