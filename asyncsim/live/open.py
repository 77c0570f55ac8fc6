"""Start a live session, or go on with one that a store holds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from asyncsim.engine.waits import Answer
from asyncsim.errors import ScenarioError
from asyncsim.live.journal import idempotency_key
from asyncsim.live.real_time_clock import positive_speed
from asyncsim.live.records import StoredWaits, finish_record
from asyncsim.live.responses import Handler, data_fields
from asyncsim.live.session import Session
from asyncsim.live.setup import Setup
from asyncsim.live.store import IN_MEMORY, Store, existing, written
from asyncsim.model.profiles import Profile
from asyncsim.model.scenario import Scenario
from asyncsim.model.strategy_base import Strategy
from asyncsim.model.units import DurationLike
from asyncsim.model.validation import scenario_error


def live(
    scenario: Scenario | None = None,
    strategy: Strategy | None = None,
    *,
    against: Strategy | Sequence[Strategy] = (),
    speed: float = 600.0,
    store: str | Path | None = None,
    seed: int = 0,
    hold: bool | str | Iterable[str] = False,
    heartbeat: DurationLike | Mapping[str, DurationLike] | None = None,
    profile: str | Profile | None = None,
    on_response: Handler | Mapping[str, Handler] | None = None,
) -> Session:
    """Start a scenario on a clock, or go on with one that a store holds.

    Parameters
    ----------
    scenario
        What is played; may be left out to go on with what `store` holds.
    strategy
        How the waits that people see learn of completion; by default `Callback()`.
    against
        Strategies under which the same instances are played beside it.
    speed
        Simulated seconds per real second once `play()` is called.
    store
        A database file (SQLite). What waits is a record there; kill this process at any moment,
        open the file again, and the session goes on. By default all is kept in memory.
    seed
        Key of the random numbers.
    hold
        Systems that complete nothing by themselves, so that people do: names, or True for all.
    heartbeat
        A wait times out when nobody calls `Session.heartbeat` for so long; also by step.
    profile
        Finishes are answered as another engine does, such as ``"camunda 8"``: by policy, and over
        REST by its status codes where a source names them; see `asyncsim.profiles`.
    on_response
        A function that handles the immediate response of a call before the step waits; see
        `OutgoingCall`. Also by step. It is not kept in a store: give it again.

    Raises
    ------
    ScenarioError
        If an argument is wrong, or the store holds another session than the one described.
    StoreError
        If the store cannot be read or written, is damaged, or is being played by another session.

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
        setup, kept = None, existing(store)
    try:
        if setup is None:
            _check_alone(strategy, against, seed, hold, heartbeat, profile)
        kept.own()
        if kept.empty and setup is not None:
            if store is not None:
                with kept.lock, kept.transaction():
                    setup.keep(kept)
                kept.all("pragma wal_checkpoint(passive)")  # the file alone knows what it is
            return Session(setup, kept, speed)
        found = Setup.kept_in(kept, on_response)
        what = setup.differs_from(found) if setup is not None else ""
        if what:
            raise ScenarioError(
                f"store {kept.path!r} holds a session with another {what}; leave the scenario out "
                "to go on with it, or take a new file"
            )
        return Session(found, kept, speed)
    except BaseException:
        kept.close()
        raise


def _check_alone(*described: object) -> None:
    """Refuse what would be without effect: a store knows what it plays."""
    names = ("strategy", "against", "seed", "hold", "heartbeat", "profile")
    for name, value in zip(names, described, strict=True):
        if value not in (None, (), 0, False):
            raise ScenarioError(
                f"{name} goes with a scenario; the store knows its own, got {name}={value!r}"
            )


def finish_in_store(
    store: str | Path,
    serial_number: str,
    data: Mapping[str, Any] | None = None,
    *,
    key: str | None = None,
) -> Answer:
    """Finish a waiting step in a store, whether or not a process plays its session.

    The record is finished when this returns. The instance continues when the process that plays
    the session next looks at the store, or when the store is next opened.

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
    >>> session.close()  # nobody plays it now
    >>> sim.finish_in_store(store, "1_31", {"InvoiceNo": 42}).text
    'finished'
    >>> folder.cleanup()
    """
    kept = existing(store)
    try:
        waits = StoredWaits(Setup.kept_in(kept).scenario, kept)
        fields = None if data is None else data_fields(data)
        return finish_record(kept, waits, written(serial_number), fields, idempotency_key(key))
    finally:
        kept.close()
