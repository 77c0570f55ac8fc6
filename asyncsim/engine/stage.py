"""What strategies, systems and skipped checks need of the simulation they take part in."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from typing import NamedTuple, Protocol

from asyncsim.engine.admission import Admission
from asyncsim.engine.clock import Clock
from asyncsim.engine.graph import Graph
from asyncsim.engine.lines import HeldLines
from asyncsim.engine.waits import Answer, State, Wait, Waits
from asyncsim.engine.workers import Workers
from asyncsim.model.draws import Draws
from asyncsim.model.scenario import Scenario
from asyncsim.model.waiting import Strategy


class Delivery(NamedTuple):
    """A finish on its way, and what became of it; times are seconds, NaN for what never was."""

    serial_number: str
    row: int
    node: int
    attempt: int
    sent: float
    arrived: float
    handled: float
    outcome: str


class Deliveries:
    """All deliveries of a run, in order, in columns: a live session keeps them for days."""

    def __init__(self) -> None:
        self._texts: list[str] = []
        self._places, self._times = array("q"), array("d")

    def append(self, delivery: Delivery) -> None:
        """Add a delivery."""
        self._texts += delivery.serial_number, delivery.outcome
        self._places.extend(delivery[1:4])
        self._times.extend(delivery[4:7])

    def __len__(self) -> int:
        return len(self._texts) // 2

    def __iter__(self) -> Iterator[Delivery]:
        return self.since(0)

    def since(self, first: int) -> Iterator[Delivery]:
        """Yield the deliveries from an index on."""
        for k in range(first, len(self)):
            number, outcome = self._texts[2 * k : 2 * k + 2]
            row, node, attempt = self._places[3 * k : 3 * k + 3]
            sent, arrived, handled = self._times[3 * k : 3 * k + 3]
            yield Delivery(number, row, node, attempt, sent, arrived, handled, outcome)


class Stage(Protocol):
    """The simulation as those see it who act in it; `asyncsim.engine.simpy_engine.Simulation`."""

    scenario: Scenario
    strategy: Strategy
    draws: Draws
    graph: Graph
    clock: Clock
    waits: Waits
    workers: Workers
    lines: HeldLines
    poll_work: float
    callback_work: float
    admission: Admission | None
    """Admits callbacks, or refuses them, if the server has a limit."""
    deliveries: Deliveries
    collections: set[float]
    """Instants at which a batch collects what has been submitted."""

    def completed(self, wait: Wait) -> None:
        """Note that the external system has done the work, and let the strategy act on it."""

    def finish(self, wait: Wait) -> Answer:
        """Finish a step by its serial number; the first one resumes it."""

    def expire(self, wait: Wait, state: State) -> None:
        """Let a wait time out or be given up, if it is still open."""

    def key_of(self, what: str, index: int) -> int:
        """Return the key of a strategy's endless table of uniform numbers, for one step."""
