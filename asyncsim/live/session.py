"""A live session: a scenario on a clock, with people and programs taking part.

Each public method is safe to call from any thread. What it changes is durable, in the store,
before it returns.
"""

from __future__ import annotations

import logging
import math
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pandas as pd

from asyncsim.engine import invariants
from asyncsim.engine.run import Run
from asyncsim.engine.simulation import record_of
from asyncsim.engine.waits import Answer, State
from asyncsim.errors import (
    AlreadyFinished,
    EngineError,
    ScenarioError,
    SerialNumberError,
    StoreError,
    WaitExpired,
)
from asyncsim.live import queries
from asyncsim.live.endpoint import Endpoint
from asyncsim.live.journal import LATEST, Input, idempotency_key
from asyncsim.live.live_simulation import LiveSimulation
from asyncsim.live.real_time_clock import Controls
from asyncsim.live.responses import data_fields
from asyncsim.live.setup import Setup
from asyncsim.live.store import IN_MEMORY, Store, written
from asyncsim.model.server import RateLimit
from asyncsim.model.units import InvalidValue, count, from_zero, yes_or_no
from asyncsim.model.validation import argument, choice

if TYPE_CHECKING:  # built upon sessions, which open them only when asked to
    from asyncsim.widgets.console import Console
    from asyncsim.widgets.view import View

logger = logging.getLogger("asyncsim")
MOST = 2**53
"""Records on a page, and before it: more than there can be, and JSON carries it unharmed."""


class AnswerLogEntry(NamedTuple):
    """An answer to somebody outside, for the log."""

    instant: float
    kind: str
    serial_number: str | None
    data: Mapping[str, Any] | None
    answer: str


class Session(Controls):
    """A scenario that runs on a clock; made by `asyncsim.live`.

    Parameters
    ----------
    setup
        What is played.
    store
        Where its records are; if it holds a session already, that one goes on.
    speed
        Simulated seconds per real second once the clock runs.
    """

    def __init__(self, setup: Setup, store: Store, speed: float) -> None:
        self.answers_given: deque[AnswerLogEntry] = deque(maxlen=LATEST)
        self._endpoints: list[Endpoint] = []
        super().__init__(setup, store, speed, self._note)

    # --- from outside -----------------------------------------------------------------------------

    def finish(
        self,
        serial_number: str,
        data: Mapping[str, Any] | None = None,
        *,
        strict: bool = True,
        key: str | None = None,
    ) -> Answer:
        """Finish a waiting step by its serial number; its process goes on.

        Parameters
        ----------
        serial_number
            Such as ``"5_31"``.
        data
            Data fields handed back, such as ``{"InvoiceNo": 42}``.
        strict
            Whether an answer that turns the finish away is raised, or only returned.
        key
            An idempotency key: the same finish with the same key gets the answer of the first one,
            also after a crash. Answers that may change (unknown, early) are not kept.

        Raises
        ------
        SerialNumberError
            `UnknownSerialNumber`, `NotArmedYet`, `AlreadyFinished` or `WaitExpired`.
        ScenarioError
            If the data or the key is wrong, or the key was used for another finish.
        StoreError
            If the store cannot be written; nothing was done.
        """
        argument("strict", strict, yes_or_no)
        fields = None if data is None else data_fields(data)
        text = written(serial_number)
        answer = Answer[self._input("finish", text, fields, idempotency_key(key))]
        if strict and answer.error is not None:
            raise self.refusal(answer, text)
        return answer

    def complete(self, serial_number: str, data: Mapping[str, Any] | None = None) -> None:
        """Let the external system's work be complete now; the strategy does the rest.

        Under a callback it is sent, with the delay and the losses the strategy describes.
        """
        fields = data_fields(data)
        with self.store.lock:
            self._catch_up()
            text = self._known(serial_number)
            if self._sides.main.waits.records[text].completed < math.inf:
                raise AlreadyFinished(f"the work of {text!r} is complete already")
            self._input("complete", text, fields)

    def heartbeat(self, serial_number: str) -> None:
        """Give a sign of life for a wait; with ``heartbeat=`` it would else time out."""
        with self.store.lock:
            self._catch_up()
            text = self._known(serial_number)
            state = self._sides.main.waits.records[text].state
            if state is not State.ARMED:
                answers = {State.CALLED: Answer.EARLY, State.FINISHED: Answer.DUPLICATE}
                raise self.refusal(answers.get(state, Answer.LATE), text)
            self._input("heartbeat", text)

    def retry(self, serial_number: str, *, call: bool = True) -> str:
        """Enter a step once more, as an operator does; return its new serial number.

        Parameters
        ----------
        serial_number
            Of a wait that is open, or whose instance has failed. It is stale afterwards.
        call
            Whether the external system is called again, or the step only waits again.

        Raises
        ------
        SerialNumberError
            If there is no such wait, or its instance has gone on.
        """
        argument("call", call, yes_or_no)
        with self.store.lock:
            self._catch_up()
            text = self._known(serial_number)
            wait = self._sides.main.waits.records[text]
            why = self._sides.main.why_not_again(wait)
            new = "" if why else self._input("retry", text, None if call else {"call": False})
            if not new:  # it may have resumed as the clock caught up once more
                why = why or self._sides.main.why_not_again(wait)
                raise WaitExpired(f"serial number {text!r} cannot be tried again: {why}")
            return new

    def start(self, data: Mapping[str, Any] | None = None) -> int:
        """Start an instance now, with data fields; return its number."""
        for name, system in self.scenario.systems.items():
            if any(link.instances is not None for link in system.links):
                raise ScenarioError(f"start() cannot add to the log that system {name!r} replays")
        return int(self._input("start", None, data_fields(data)))

    @property
    def why_no_reset(self) -> str:
        """Why the session cannot be reset, or nothing if it can."""
        if self.store.path == IN_MEMORY:
            return ""
        return (
            f"a reset would delete the journal in store {self.store.path!r}; to start again from "
            "the beginning, start a session with the same scenario in a new file"
        )

    def reset(self) -> None:
        """Start the scenario again from its beginning, on the same random numbers.

        The clock is paused, and all that came from outside is forgotten.

        Raises
        ------
        EngineError
            If the session has a store: its journal is not deleted.
        """
        if self.why_no_reset:
            raise EngineError(self.why_no_reset)
        self.pause()
        with self.store.lock:
            self._sides.reset()
            self.answers_given = deque(maxlen=LATEST)
        self._tell_listeners()

    def _input(
        self,
        kind: str,
        serial_number: str | None,
        data: Mapping[str, Any] | None = None,
        key: str | None = None,
    ) -> str:
        (answer,) = self.take([Input(kind, serial_number, data, key=key)])
        if isinstance(answer, ScenarioError):
            raise answer
        return answer

    def take(self, inputs: Sequence[Input]) -> list[str | ScenarioError]:
        """Play inputs now, in order; return their answers when all are durable, in one write.

        What they hold is checked already. An error stands for the answer to a wrong key.
        """
        with self.store.lock:
            self._catch_up()
            answers = self._sides.take(inputs)
        self._tell_listeners()
        return answers

    def _catch_up(self) -> None:
        if self.playing:
            self._ticking.catch_up()

    def _known(self, serial_number: str) -> str:
        text = written(serial_number)
        if not self._sides.knows(text):
            raise self.refusal(Answer.UNKNOWN, text)
        return text

    def refusal(self, answer: Answer, serial_number: str) -> SerialNumberError:
        """Return the error that tells a person of an answer that turns a finish away."""
        with self.store.lock:
            main = self._sides.main
            error = main.waits.error_for(answer, serial_number)
            assert error is not None, answer
            now = main.waits_now_as(serial_number) if answer is Answer.LATE else None
            return type(error)(f"{error}; it was tried again, as {now!r}") if now else error

    def _note(self, now: float, given: Input, answer: str) -> None:
        said = AnswerLogEntry(now, given.kind, given.serial_number, given.data, answer)
        self.answers_given.append(said)

    # --- looking ----------------------------------------------------------------------------------

    @property
    def waiting(self) -> pd.DataFrame:
        """The records that wait now, one row each, by instance."""
        with self.store.lock:
            self._sides.write()
            return queries.waiting(self.store, self.scenario, self.now)

    def page(self, like: str = "", first: int = 0, most: int = 50) -> tuple[int, pd.DataFrame]:
        """Return how many waiting records fit a text, and some of them.

        Parameters
        ----------
        like
            Part of a serial number, a step or a system; all records fit nothing.
        first, most
            Which of them are returned.
        """
        asked = ("first", first), ("most", most)
        with self.store.lock:
            self._sides.write()
            found = [min(argument(name, value, from_zero), MOST) for name, value in asked]
            return queries.page(self.store, self.scenario, self.now, written(like), *found)

    def knows(self, serial_number: str) -> bool:
        """Tell whether there is a record with this number, in whatever state."""
        return self._sides.knows(written(serial_number))

    @property
    def waiting_count(self) -> int:
        """How many records wait now."""
        return self._sides.main.waits.open_count

    def wait(self, serial_number: str) -> dict[str, Any]:
        """Return the record of one wait, in whatever state it is.

        Raises
        ------
        UnknownSerialNumber
            If there is none.
        """
        with self.store.lock:
            self._sides.write()
            text = self._known(serial_number)
            found = queries.record(self.store, text)
        assert found is not None
        return found

    def instance(self, instance: int) -> dict[str, Any]:
        """Return how an instance stands: outcome, times, data fields, and its waits.

        Raises
        ------
        ScenarioError
            If no instance has this number.
        """
        with self.store.lock:
            self._sides.write()
            lane = self._sides.main
            try:
                number = count(instance)
            except InvalidValue:
                number = 0
            if not 1 <= number <= lane.arrived:
                have = f"1 to {lane.arrived}" if lane.arrived else "none yet"
                raise ScenarioError(f"instance must be a known one ({have}), got {instance!r}")
            return queries.instance(self.store, lane, number)

    @property
    def instances_count(self) -> int:
        """How many instances have arrived."""
        return self._sides.main.arrived

    def beside(self, serial_number: str) -> pd.DataFrame:
        """Return how the same step stands under each strategy, one row each."""
        with self.store.lock:
            number = self._known(serial_number)
            return queries.beside(self._sides.all, number, self.scenario, self.now)

    @property
    def answers(self) -> pd.DataFrame:
        """What came from outside lately, and what it was answered, the latest last."""
        table = pd.DataFrame(list(self.answers_given), columns=list(AnswerLogEntry._fields))
        stamps = self.scenario.calendar.timestamps(table["instant"].to_numpy(dtype=float))
        table.insert(0, "at", stamps)
        return table

    def lane(self, strategy: str | None = None) -> LiveSimulation:
        """Return the simulation behind a strategy, by its label; by default the main one.

        It is for looking: what is changed there is not in the store.
        """
        labels = self.strategies
        if strategy is None:
            return self._sides.main
        return self._sides.all[labels.index(choice("strategy", strategy, labels))]

    def so_far(self, strategy: str | None = None) -> Run:
        """Return what has happened so far under a strategy: the tables of a run.

        The laws of `asyncsim.engine.invariants` are checked, unless an operator has tried a step
        again:
        then its times are those of the last try.
        """
        with self.store.lock:
            lane = self.lane(strategy)
            record = record_of(lane)
            if not lane.retried:
                invariants.check(record, self.scenario)
            if lane is self._sides.main:
                record = queries.with_turned_away(record, self._sides.journal.turned_away())
            return Run(self.scenario, lane.strategy, lane.draws, record)

    # --- REST -------------------------------------------------------------------------------------

    def serve(
        self,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        token: str | None = None,
        rate_limit: str | RateLimit | None = None,
        thread: bool = False,
        allowed_hosts: Sequence[str] = (),
    ) -> Endpoint:
        """Let programs finish steps over REST; needs the extra ``serve``.

        In a notebook it is served by the kernel's own event loop, in a script by a thread. A cell
        that calls the endpoint itself and waits (``!curl``, ``requests``) would then wait for ever:
        call from a terminal, with ``await``, or take ``thread=True``.

        Parameters
        ----------
        host, port
            Where; by default on this machine only, at any free port.
        token
            What requests must hold, 16 characters or more; by default a new one.
        rate_limit
            Such as ``"100 per 60 s"`` or ``"3000 refilled 500/s"``, of requests of any kind; more
            get a 429. Left out, the server's `finish_limit` holds for finishes. Both go by the
            real clock, as callers do, and leave the simulated callbacks their own limit.
        thread
            Serve from a thread of its own in any case.
        allowed_hosts
            Further names by which clients reach the endpoint, such as that of a proxy. Requests
            for any other host than this machine get a 421: a page of another site may have sent
            them (DNS rebinding).

        Raises
        ------
        EngineError
            If the port is taken, the extra is not installed, or a browser has no sockets.
        """
        from asyncsim.live.serve import serve

        endpoint = serve(self, host, port, token, rate_limit, thread, allowed_hosts)
        self._endpoints.append(endpoint)
        return endpoint

    # --- widgets ----------------------------------------------------------------------------------

    def console(self) -> Console:
        """Return the widget in which people finish steps."""
        from asyncsim.widgets.console import Console

        return Console(self)

    def view(self) -> View:
        """Return the widget in which instances move through the process."""
        from asyncsim.widgets.view import View

        return View(self)

    # --- the end ----------------------------------------------------------------------------------

    def backup(self, path: str | Path) -> None:
        """Copy the session into a new file, which can be opened or replayed.

        Use this, and not a copy of the store's files, while the session is open. It also saves a
        session whose own file cannot be written any more.

        Raises
        ------
        ScenarioError
            If there is such a file already, or it cannot be written.
        """
        with self.store.lock:
            if self.store.about("format") is None:  # until now in memory only
                with self.store.transaction():
                    self.setup.keep(self.store)
            with suppress(StoreError):  # what is durable is what is copied
                self._sides.commit()
            self.store.backup(path)

    def close(self) -> None:
        """Stop the clock and let go of the store, which can be opened again."""
        self._ticking.stop()
        for endpoint in self._endpoints:
            endpoint.stop()
        with self.store.lock:
            try:
                if not self.store.closed:
                    self._sides.commit()
            except StoreError as error:  # what was acknowledged is in the store, or was reported
                logger.warning("the last simulated instants were not saved: %s", error)
            finally:
                self.store.close()

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}({self.scenario.name!r}, {self.at:%Y-%m-%d %H:%M:%S}, "
            f"{self.waiting_count} waiting, {'playing' if self.playing else 'paused'})"
        )
