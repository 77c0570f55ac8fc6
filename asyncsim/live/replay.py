"""A session played again: the same instances, the same finishes, at the same instants."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from pathlib import Path

from attrs import evolve

from asyncsim.errors import EngineError, ScenarioError
from asyncsim.live.journal import WITHOUT_ANSWER, Input, Journal
from asyncsim.live.real_time_clock import as_duration, positive_speed
from asyncsim.live.responses import keep_response, kept_responses
from asyncsim.live.session import Session
from asyncsim.live.setup import Setup, strategies_of
from asyncsim.live.store import Store, existing
from asyncsim.model.strategy_base import Strategy
from asyncsim.model.units import DurationLike


class Replay(Session):
    """A session that is watched, from its first instant on; made by `asyncsim.replay`.

    It has the clock and the tables of a session; nobody can take part in it.

    Parameters
    ----------
    setup
        What was played.
    source
        The store of the session that is played again; it is only read.
    speed
        Simulated seconds per real second once the clock runs.
    """

    def __init__(self, setup: Setup, source: Store, speed: float) -> None:
        journal = Journal(source)
        self.end = journal.verified()[0]
        """The instant up to which the session had come."""
        self._inputs = journal.inputs()
        self._responses = kept_responses(source)
        super().__init__(setup, Store(), speed)
        self._begin()

    def _begin(self) -> None:
        self._script = deque(self._inputs)
        with self.store.lock, self.store.transaction():  # users' functions are not called again
            for number, (response, data) in self._responses.items():
                keep_response(self.store, number, response, data)

    def reset(self) -> None:
        """Play the session again from its beginning."""
        with self.store.lock:
            super().reset()
            self._begin()

    @property
    def over(self) -> bool:
        """Whether all that was has been played."""
        return not self._script and self.now >= self.end

    def step(self) -> bool:
        """Play the next instant at which anything happens, or was done; false at the end."""
        following = self._script[0].instant if self._script else None
        instant = self._sides.main.next_instant
        instant = instant if following is None else min(instant, following)
        if self.over:
            return False
        self._run_to(min(instant, self.end))
        return True

    def run_to_end(self, at_most: DurationLike | None = None) -> None:
        """Play all that was, however long it took; or for so long."""
        until = math.inf if at_most is None else self.now + as_duration("at_most", at_most)
        self._run_to(min(max(self.end, self.now), until))

    def _advance(self, target: float, budget: float) -> bool:
        while self._script and (self._script[0].instant or 0.0) <= target:
            due = self._script[0]
            if not super()._advance(due.instant or 0.0, budget):
                return False
            self._script.popleft()
            (answer,) = self._sides.take([Input(due.kind, due.serial_number, due.data)])
            if due.answer not in (answer, WITHOUT_ANSWER):
                raise EngineError(
                    f"the replay differs from the session: {due.kind} of {due.serial_number!r} "
                    f"was {due.answer}, is {answer}"
                )
        return super()._advance(target, budget)

    def take(self, inputs: Sequence[Input]) -> list[str | ScenarioError]:
        """Refuse inputs: all of them are there already."""
        raise EngineError(
            f"{inputs[0].kind} is not for a replay, which plays what was; "
            "take live(store=…) to go on with the session"
        )


def replay(
    store: str | Path,
    *,
    against: Strategy | Sequence[Strategy] | None = None,
    speed: float = 600.0,
) -> Replay:
    """Play a session again that a store holds, step by step or on the clock.

    Parameters
    ----------
    store
        The file of the session (`Session.backup`, or its own store). It is only read, also while
        the session is played.
    against
        Other strategies to set beside it than those of the session.
    speed
        Simulated seconds per real second once `Session.play` is called.

    Raises
    ------
    ScenarioError
        If the file does not exist or holds no session.

    Examples
    --------
    >>> import tempfile, asyncsim as sim
    >>> folder = tempfile.TemporaryDirectory()
    >>> session = sim.live(sim.Scenario.load("example:nightly_ledger"), hold=True)
    >>> session.run_until("09:00")
    >>> session.finish("1_31").text
    'finished'
    >>> session.backup(folder.name + "/session.db")
    >>> again = sim.replay(folder.name + "/session.db")
    >>> again.run_to_end()
    >>> again.wait("1_31")["state"], again.over
    ('finished', True)
    >>> again.close(); session.close(); folder.cleanup()
    """
    source = existing(store)
    try:
        setup = Setup.kept_in(source)
        if against is not None:
            setup = evolve(setup, strategies=strategies_of(setup.strategies[0], against))
        return Replay(setup, source, positive_speed(speed))
    finally:
        source.close()
