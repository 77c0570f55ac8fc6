"""Start a session, resume or replay the one that a store holds, or finish a step in a store."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from attrs import evolve

from asyncsim.engine.waits import Answer
from asyncsim.errors import EngineError, ScenarioError
from asyncsim.live.journal import WITHOUT_ANSWER, Finish, Input, Journal, JournalEntry
from asyncsim.live.real_time_clock import positive_speed
from asyncsim.live.records import Handler, StoredWaits, store_response, stored_responses
from asyncsim.live.session import Session
from asyncsim.live.setup import Setup, checked_strategies
from asyncsim.live.store import IN_MEMORY, Store, open_existing
from asyncsim.model.mixed_strategies import StrategyLike
from asyncsim.model.profiles import Profile
from asyncsim.model.scenario import Scenario
from asyncsim.model.units import DurationLike, duration
from asyncsim.model.validation import argument, scenario_error


def live(
    scenario: Scenario | None = None,
    strategy: StrategyLike | None = None,
    *,
    against: StrategyLike | Sequence[StrategyLike] = (),
    speed: float = 600.0,
    store: str | Path | None = None,
    seed: int = 0,
    hold: bool | str | Iterable[str] = False,
    heartbeat: DurationLike | Mapping[str, DurationLike] | None = None,
    profile: str | Profile | None = None,
    on_response: Handler | Mapping[str, Handler] | None = None,
) -> Session:
    """Start a scenario on a clock, or resume the session that a store holds.

    Parameters
    ----------
    scenario
        What is played; left out, the session in `store` is resumed.
    strategy
        How the waits that people see notice completion; by default `Callback()`.
    against
        Strategies under which the same instances are played beside it.
    speed
        Simulated seconds per real second once `play()` is called.
    store
        A database file (SQLite) with a record of each wait; by default all is kept in memory.
        A session that is killed at any moment resumes when the file is opened again.
    seed
        Key of the random numbers.
    hold
        Systems that complete nothing by themselves, since people do: names, or True for all.
    heartbeat
        A wait times out if `Session.heartbeat` is not called for this long; also by step.
    profile
        Answer finishes by the policy and the REST status codes of another engine, such as
        ``"camunda 8"``; see `asyncsim.profiles`.
    on_response
        A function that handles the immediate response of a call before the step waits; see
        `OutgoingCall`. Also by step. It is not kept in a store.

    Raises
    ------
    ScenarioError
        If an argument is wrong, or the store holds another session than the one described.
    StoreError
        If the store cannot be read or written, is damaged, or is played by another session.

    Examples
    --------
    >>> import asyncsim as sim
    >>> scenario = sim.Scenario.load("example:nightly_ledger")
    >>> session = sim.live(scenario, hold=True, seed=1)
    >>> session.run_until("12:00")
    >>> session.finish("5_31", {"InvoiceNo": 42}).text
    'finished'
    >>> session.wait("5_31")["data"]
    {'InvoiceNo': 42}
    """
    speed = positive_speed(speed)
    if scenario is not None:
        setup = Setup.of(scenario, strategy, against, seed, hold, heartbeat, profile, on_response)
        if store is not None and (not isinstance(store, (str, Path)) or not str(store)):
            raise scenario_error("store", "must be the path of a file", store)
        kept = Store(IN_MEMORY if store is None else store)
    elif store is None:
        raise ScenarioError("live() needs a scenario, or a store that holds a session")
    else:
        setup, kept = None, open_existing(store)
    try:
        if setup is None:
            described = (strategy, against, seed, hold, heartbeat, profile)
            names = ("strategy", "against", "seed", "hold", "heartbeat", "profile")
            for name, value in zip(names, described, strict=True):
                if value not in (None, (), 0, False):  # a store knows what it plays
                    given = f"the store knows its own, got {name}={value!r}"
                    raise ScenarioError(f"{name} goes with a scenario; {given}")
        kept.own()
        if kept.empty and setup is not None:
            if store is not None:
                with kept.transaction():
                    setup.keep(kept)
                kept.all("pragma wal_checkpoint(passive)")  # the file alone knows what it is
            return Session(setup, kept, speed)
        found = Setup.kept_in(kept, on_response)
        what = setup.difference(found) if setup is not None else ""
        if what:
            resume = "leave the scenario out to resume it, or take a new file"
            raise ScenarioError(
                f"store {kept.path!r} holds a session with another {what}; {resume}"
            )
        return Session(found, kept, speed)
    except BaseException:
        kept.close()
        raise


def finish_in_store(
    store: str | Path,
    serial_number: str,
    data: Mapping[str, Any] | None = None,
    *,
    key: str | None = None,
) -> Answer:
    """Finish a waiting step in a store, whether or not a process plays its session.

    The record is finished when this returns; the instance continues when its player next looks at
    the store.

    Parameters
    ----------
    store
        The file of the session.
    serial_number, data, key
        As in `Session.finish`. The answer is returned, never raised.

    Raises
    ------
    StoreError
        If the store cannot be written, is damaged or was replaced.

    Examples
    --------
    >>> import tempfile, asyncsim as sim
    >>> folder = tempfile.TemporaryDirectory()
    >>> store = folder.name + "/session.db"
    >>> session = sim.live(sim.Scenario.load("example:nightly_ledger"), hold=True, store=store)
    >>> session.run_until("09:00")
    >>> session.close()  # no process plays it now
    >>> sim.finish_in_store(store, "1_31", {"InvoiceNo": 42}).text
    'finished'
    >>> folder.cleanup()
    """
    with closing(open_existing(store)) as kept:
        waits = StoredWaits(Setup.kept_in(kept).scenario, kept)
        return finish_record(kept, waits, Finish.of(serial_number, data, key))


def finish_record(store: Store, waits: StoredWaits, given: Finish) -> Answer:
    """Finish a record in a process that does not play the scenario."""
    journal, number = Journal(store), given.serial_number or ""
    with store.transaction():
        now = journal.load_head()
        earlier = journal.with_key(given.key)
        if earlier is None:
            answer = waits.finish(number, now, given.data)
            waits.records.write()
            if number in waits.records or answer.starts:
                journal.append(JournalEntry(given, answer=answer.name))
                journal.write_head()
            return answer
    given.check_repeats(earlier.input)
    return Answer[earlier.answer]


class Replay(Session):
    """A session played again from its first instant; made by `asyncsim.replay`.

    It has the clock and the tables of a session, but takes no inputs.
    """

    def __init__(self, setup: Setup, source: Store, speed: float) -> None:
        journal = Journal(source)
        self.end = journal.verified()[0]
        """The instant that the session had reached."""
        self._entries = journal.played()
        self._responses = stored_responses(source)
        super().__init__(setup, Store(), speed)
        self._begin()

    def _begin(self) -> None:
        self._script = deque(self._entries)
        with self.store.transaction():  # users' functions are not called again
            for number, (response, data) in self._responses.items():
                store_response(self.store, number, response, data)

    def reset(self) -> None:
        """Play the session again from its beginning."""
        with self.store.lock:
            super().reset()
            self._begin()

    @property
    def over(self) -> bool:
        """Whether the whole session has been played."""
        return not self._script and self.now >= self.end

    def step(self) -> bool:
        """Play the next instant with an event or an input; false at the end."""
        if self.over:
            return False
        instant = self._main.next_instant
        if self._script:
            instant = min(instant, self._script[0].instant or 0.0)
        self._run_to(min(instant, self.end))
        return True

    def run_to_end(self, at_most: DurationLike | None = None) -> None:
        """Play the rest of the session, or `at_most` a duration of it."""
        until = math.inf if at_most is None else self.now + argument("at_most", at_most, duration)
        self._run_to(min(max(self.end, self.now), until))

    def _advance(self, target: float, budget: float) -> bool:
        while self._script and (self._script[0].instant or 0.0) <= target:
            due = self._script[0]
            if not super()._advance(due.instant or 0.0, budget):
                return False
            self._script.popleft()
            (answer,) = self._simulation.apply([evolve(due.input, key=None)])
            if due.answer not in (answer, WITHOUT_ANSWER):
                raise EngineError(
                    f"the replay differs from the session: {due.input.kind} of "
                    f"{due.input.serial_number!r} was {due.answer}, is {answer}"
                )
        return super()._advance(target, budget)

    def apply(self, inputs: Sequence[Input]) -> list[str | ScenarioError]:
        """Refuse inputs: all of them are in the journal."""
        plays = "which plays what was; take live(store=…) to resume the session"
        raise EngineError(f"{inputs[0].kind} is not for a replay, {plays}")


def replay(
    store: str | Path,
    *,
    against: StrategyLike | Sequence[StrategyLike] | None = None,
    speed: float = 600.0,
) -> Replay:
    """Replay the session that a store holds, step by step or on the clock.

    Parameters
    ----------
    store
        The file of the session, or a backup. It is only read, also while the session is played.
    against
        Other strategies to play beside it than those of the session.
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
    with closing(open_existing(store, read_only=True)) as source:
        setup = Setup.kept_in(source)
        if against is not None:
            setup = evolve(
                setup, strategies=checked_strategies(setup.strategies[0], against, setup.scenario)
            )
        return Replay(setup, source, positive_speed(speed))
