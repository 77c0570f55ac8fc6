"""The timeline of one wait: its run is played again, and its checks are recorded."""

from __future__ import annotations

from typing import Any

import pandas as pd

from asyncsim.engine.contexts import WaitContext
from asyncsim.engine.result import RATE_LIMITED
from asyncsim.engine.simulation import Simulation
from asyncsim.engine.waits import State
from asyncsim.model.random_streams import Draws
from asyncsim.model.scenario import Scenario
from asyncsim.model.strategies import Answered, SimProcess, Strategy, WaitingStep

COLUMNS = ["event", "start", "end", "text"]


def wait_timeline(
    scenario: Scenario, strategy: Strategy, draws: Draws, serial_number: str
) -> pd.DataFrame:
    """Return the events of one wait: event, start, end (seconds) and a text.

    Events are arrived, called, armed, completed, check, delivery, resumed, and other endings of
    the wait; the table is empty if no wait has the number.
    """
    recording = _RecordingStrategy(strategy, serial_number)
    simulation = Simulation(scenario, recording, draws)
    simulation.run()
    wait = simulation.waits.records.get(serial_number)
    if wait is None:
        return pd.DataFrame(columns=COLUMNS)
    arrived = draws.arrivals[wait.row]
    instants = {"arrived": arrived, "called": wait.called, "armed": wait.armed}
    instants["completed"] = wait.completed
    rows = [(event, instant, instant, "") for event, instant in instants.items()]
    rows += recording.checks
    for delivery in simulation.deliveries:
        if delivery.serial_number == serial_number:
            end = delivery.arrived if delivery.outcome == RATE_LIMITED else delivery.handled
            rows.append(("delivery", delivery.sent, end, delivery.outcome))
    ending = "resumed" if wait.state is State.FINISHED else wait.state.value
    rows.append((ending, wait.closed, wait.closed, ""))
    table = pd.DataFrame(rows, columns=COLUMNS)
    return table.sort_values("start", kind="stable", ignore_index=True)


class _RecordingStrategy(Strategy):
    """Plays a strategy, and records the checks of one wait."""

    def __init__(self, strategy: Strategy, serial_number: str) -> None:
        self.strategy = strategy
        self.serial_number = serial_number
        self.checks: list[tuple[str, float, float, str]] = []

    def wait(self, step: WaitingStep) -> SimProcess | None:
        if step.serial_number == self.serial_number and isinstance(step, WaitContext):
            return self.strategy.wait(_RecordedStep(step, self.checks))
        return self.strategy.wait(step)

    def notify(self, step: WaitingStep) -> SimProcess | None:
        return self.strategy.notify(step)


class _RecordedStep:
    """A waiting step that records its checks, and delegates everything else."""

    def __init__(self, step: WaitContext, checks: list[tuple[str, float, float, str]]) -> None:
        self._step = step
        self._checks = checks

    def __getattr__(self, name: str) -> Any:
        return getattr(self._step, name)

    def check(self) -> Answered:
        return self._record(self._step.check())

    def hold(self, seconds: float) -> Answered:
        return self._record(self._step.hold(seconds))

    def _record(self, check: Answered) -> Answered:
        start, before = self._step.now, self._step.checks
        over = yield from check
        if self._step.checks > before:
            text = "done" if self._step.saw else "not yet"
            self._checks.append(("check", start, self._step.now, text))
        return over
