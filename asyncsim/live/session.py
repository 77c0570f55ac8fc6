"""A live session: a scenario on a clock, with people and programs taking part.

Each public method may be called from any thread. What it changes is durable, in the store, before
it returns. A session knows neither widgets nor REST: the rooms above it attach `Session.console`,
`Session.view` and `Session.serve`.
"""

from __future__ import annotations

import logging
import math
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from html import escape
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
import pandas as pd

from asyncsim.engine.result import INSTANCE_OUTCOMES, Outcome, check_invariants
from asyncsim.engine.run import Run
from asyncsim.engine.simulation import record_of
from asyncsim.engine.waits import Answer, State, Wait
from asyncsim.errors import (
    AlreadyFinished,
    EngineError,
    ScenarioError,
    SerialNumberError,
    StoreError,
    WaitExpired,
)
from asyncsim.live.journal import Complete, Finish, Heartbeat, Input, RetryInput, Start, data_fields
from asyncsim.live.journaled_simulation import JournaledSimulation
from asyncsim.live.live_simulation import LiveSimulation, with_rejected_finishes
from asyncsim.live.real_time_clock import LAST_INSTANT, RealTimeClock, instant_of, next_batch
from asyncsim.live.records import wait_records, waiting_page
from asyncsim.live.setup import Setup
from asyncsim.live.store import IN_MEMORY, Store, as_text
from asyncsim.model import units
from asyncsim.model.html import facts_html, result_html
from asyncsim.model.scenario import Scenario
from asyncsim.model.scenario_files import told_apart
from asyncsim.model.validation import argument, choice, scenario_error
from asyncsim.model.words import counted

logger = logging.getLogger("asyncsim")

MOST = 2**53  # records on a page, and before it: more than there can be, and exact in JSON
AT_ONCE = 0.25  # real seconds after which a long run commits what it has played, and others act
BEFORE_BATCH = 1.0
MOST_NAMED = 5  # serial numbers that a notebook shows of the waiting steps
LATEST = 1000  # answers that are shown


class AnswerLogEntry(NamedTuple):
    """An input and its answer, as a session shows them."""

    instant: float
    kind: str
    serial_number: str | None
    data: Mapping[str, Any] | None
    answer: str


class Session:
    """A scenario that runs on a clock; made by `asyncsim.live`."""

    console: ClassVar[Callable[..., Any]]
    """Return a widget in which you finish steps; attached by `asyncsim`, as the next two."""
    view: ClassVar[Callable[..., Any]]
    """Return a widget that shows instances moving through the process."""
    serve: ClassVar[Callable[..., Any]]
    """Start a REST endpoint at which programs finish steps."""

    def __init__(self, setup: Setup, store: Store, speed: float) -> None:
        self.setup = setup
        self.store = store
        self.answers_given: deque[AnswerLogEntry] = deque(maxlen=LATEST)
        self._listeners: list[Callable[[], None]] = []
        self._at_close: list[Callable[[], object]] = []
        self._simulation = JournaledSimulation(setup, store, self._log_answer)
        self._clock = RealTimeClock(self._tick, lambda: self.now, speed)

    @property
    def _main(self) -> LiveSimulation:
        return self._simulation.twins.main

    # --- inputs -----------------------------------------------------------------------------------

    def finish(
        self,
        serial_number: str,
        data: Mapping[str, Any] | None = None,
        *,
        strict: bool = True,
        key: str | None = None,
    ) -> Answer:
        """Finish a waiting step by its serial number; its process continues.

        Parameters
        ----------
        serial_number
            Such as ``"5_31"``.
        data
            Data fields handed back, such as ``{"InvoiceNo": 42}``.
        strict
            Whether an answer that rejects the finish is raised, or only returned.
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
        if not isinstance(strict, bool):
            raise scenario_error("strict", "must be True or False", strict)
        answer = Answer[self._apply(Finish.of(serial_number, data, key))]
        if strict and not answer.accepted:
            raise self.error_for(answer, as_text(serial_number))
        return answer

    def complete(self, serial_number: str, data: Mapping[str, Any] | None = None) -> None:
        """Complete the external system's work now; the strategy does the rest.

        A callback is sent with the delay and the losses that the strategy describes.
        """
        fields = data_fields(data)
        with self.store.lock:
            wait = self._wait_now(serial_number)
            if wait.completed < math.inf:
                raise AlreadyFinished(f"the work of {wait.serial_number!r} is complete already")
            self._apply(Complete(wait.serial_number, fields))

    def heartbeat(self, serial_number: str) -> None:
        """Send a heartbeat to keep a wait from timing out; see `heartbeat` of `asyncsim.live`."""
        with self.store.lock:
            wait = self._wait_now(serial_number)
            if wait.state is not State.ARMED:
                answers = {State.CALLED: Answer.EARLY, State.FINISHED: Answer.DUPLICATE}
                raise self.error_for(answers.get(wait.state, Answer.LATE), wait.serial_number)
            self._apply(Heartbeat(wait.serial_number))

    def retry(self, serial_number: str, *, call: bool = True) -> str:
        """Enter a step again, as an operator does; return its new serial number.

        Parameters
        ----------
        serial_number
            Of a wait that is open, or whose instance has failed. It is stale afterwards. For any
            other one a `SerialNumberError` is raised.
        call
            Whether the external system is called again, or the step only waits again.
        """
        if not isinstance(call, bool):
            raise scenario_error("call", "must be True or False", call)
        with self.store.lock:
            wait = self._wait_now(serial_number)
            number, why = wait.serial_number, self._main.why_no_retry(wait)
            new = "" if why else self._apply(RetryInput(number, None if call else {"call": False}))
            if not new:  # it may have resumed as the clock caught up again
                why = why or self._main.why_no_retry(wait)
                raise WaitExpired(f"serial number {number!r} cannot be tried again: {why}")
            return new

    def start(self, data: Mapping[str, Any] | None = None) -> int:
        """Start an instance now, with data fields; return its number."""
        for name, system in self.scenario.systems.items():
            if any(link.instances is not None for link in system.links):
                raise ScenarioError(f"start() cannot add to the log that system {name!r} replays")
        return int(self._apply(Start(None, data_fields(data))))

    def _apply(self, given: Input) -> str:
        (answer,) = self.apply([given])
        if isinstance(answer, ScenarioError):
            raise answer
        return answer

    def apply(self, inputs: Sequence[Input]) -> list[str | ScenarioError]:
        """Play checked inputs now, in order; return their answers when all are durable.

        They share one write to the store. An error stands for the answer to a wrong key.
        """
        with self.store.lock:
            self._catch_up()
            answers = self._simulation.apply(inputs)
        self._notify_listeners()
        return answers

    def _catch_up(self) -> None:
        if self.playing:
            self._clock.catch_up()

    def _wait_now(self, serial_number: str) -> Wait:
        self._catch_up()
        return self._main.waits.records[self._known(serial_number)]

    def _known(self, serial_number: str) -> str:
        number = as_text(serial_number)
        if not self.knows(number):
            raise self.error_for(Answer.UNKNOWN, number)
        return number

    def error_for(self, answer: Answer, serial_number: str) -> SerialNumberError:
        """Return the error for an answer that rejects a finish."""
        with self.store.lock:
            error = self._main.waits.error_for(answer, serial_number)
            assert error is not None, answer
            now = self._main.replaced_by.get(serial_number) if answer is Answer.LATE else None
            return type(error)(f"{error}; it was tried again, as {now!r}") if now else error

    def _log_answer(self, now: float, given: Input, answer: str) -> None:
        entry = AnswerLogEntry(now, given.kind, given.serial_number, given.data, answer)
        self.answers_given.append(entry)

    # --- the clock --------------------------------------------------------------------------------

    @property
    def now(self) -> float:
        """The present instant, in seconds from the scenario's start."""
        return self._simulation.twins.now

    @property
    def at(self) -> pd.Timestamp:
        """The present moment as the scenario's clock shows it."""
        return self.timestamp(self.now)

    def timestamp(self, instant: float) -> pd.Timestamp:
        """Return an instant, in seconds, as the scenario's clock shows it."""
        moment: pd.Timestamp = self.scenario.calendar.timestamps(np.array([instant]))[0]
        return moment

    @property
    def playing(self) -> bool:
        """Whether the clock is running."""
        return self._clock.on

    @property
    def speed(self) -> float:
        """Simulated seconds per real second, a million at most; may be set at any time."""
        return self._clock.speed

    @speed.setter
    def speed(self, value: float) -> None:
        with self.store.lock:
            self._clock.speed = value

    def play(self) -> None:
        """Start the clock, in the event loop that is running (a notebook's kernel).

        Where none is running, as in a plain script, an `EngineError` is raised. At the last moment
        of a session, 40 years after the start, the clock stops and logs a warning.
        """
        self._clock.start()
        self._notify_listeners()

    def pause(self) -> None:
        """Stop the clock."""
        self._clock.stop()
        self._notify_listeners()

    def step(self) -> bool:
        """Play the next instant at which anything happens; false if nothing will.

        After the last moment of a session, 40 years after the start, nothing does.
        """
        instant = self._main.next_instant
        if instant <= LAST_INSTANT:
            self._run_to(instant)
        return instant <= LAST_INSTANT

    def run_until(self, until: units.DurationLike | datetime) -> None:
        """Play up to a moment: a clock time (the next one), a date and time, or a duration."""
        instant = instant_of(until, self.scenario, self.now)
        if instant < self.now:
            past = f"must not be past (it is {self.at:%Y-%m-%d %H:%M:%S})"
            raise scenario_error("until", past, until)
        self._run_to(self._within_calendar("until", until, instant))

    def run_for(self, length: units.DurationLike) -> None:
        """Play for a while."""
        instant = self.now + argument("length", length, units.duration)
        self._run_to(self._within_calendar("length", length, instant))

    def run_to_next_batch(self) -> pd.Timestamp:
        """Play up to a second before the next nightly batch begins; return that moment.

        Where no system of the scenario is a nightly batch, a `ScenarioError` is raised.
        """
        found = next_batch(self.scenario, self.now + BEFORE_BATCH)
        if found is None:
            raise ScenarioError("run_to_next_batch() needs a NightlyBatch among the systems")
        self._run_to(min(found[0] - BEFORE_BATCH, LAST_INSTANT))
        return self.at

    def run_to_end(self, at_most: units.DurationLike = "30 days") -> None:
        """Play until nothing more will happen by itself, or for `at_most`: polling has no end."""
        end = min(self.now + argument("at_most", at_most, units.duration), LAST_INSTANT)
        while self._main.next_instant <= end and self.now < end:
            self._run_to(min(self._main.next_instant + 60.0, end))

    def _within_calendar(self, name: str, value: object, instant: float) -> float:
        if instant > LAST_INSTANT:
            day = self.scenario.calendar.day(int(LAST_INSTANT // units.DAY))
            beyond = f"must not lead beyond {day}, where the calendar ends"
            raise scenario_error(name, beyond, value)
        return instant

    def _run_to(self, instant: float) -> None:
        while not self._advance(instant, AT_ONCE):
            pass
        self._simulation.commit()
        self._clock.speed = self.speed  # the clock continues from here

    def _tick(self, target: float, budget: float) -> bool:
        with self.store.lock:  # the clock may have stopped after it computed the target
            return not self.playing or self._advance(target, budget)

    def _advance(self, target: float, budget: float) -> bool:
        done = self._simulation.advance(min(target, LAST_INSTANT), budget)
        if self.playing and self.now >= LAST_INSTANT:
            logger.warning("the clock has stopped at %s: the calendar ends here", self.at)
            self._clock.stop()
        self._notify_listeners()
        return done

    def listen(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Call a function whenever something has changed; return a function that ends that."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener) if listener in self._listeners else None

    def _notify_listeners(self) -> None:
        for listener in list(self._listeners):
            try:
                listener()
            except Exception:  # the action has succeeded, whatever a listener does
                logger.exception("a listener of the session has failed")

    # --- records and tables -----------------------------------------------------------------------

    @property
    def scenario(self) -> Scenario:
        """What is played."""
        return self.setup.scenario

    @property
    def strategies(self) -> list[str]:
        """Labels of the strategies, the main one first."""
        return list(told_apart(self.setup.strategies))

    @property
    def waiting(self) -> pd.DataFrame:
        """The records that wait now, one row each, by instance."""
        return self.page(most=MOST)[1]

    @property
    def waiting_count(self) -> int:
        """How many records wait now."""
        return self._main.waits.open_count

    def page(self, like: str = "", first: int = 0, most: int = 50) -> tuple[int, pd.DataFrame]:
        """Return how many waiting records match a text, and some of them.

        Parameters
        ----------
        like
            Part of a serial number, a step or a system; nothing matches all records.
        first, most
            Which of them are returned.
        """
        first = min(argument("first", first, units.from_zero), MOST)
        most = min(argument("most", most, units.from_zero), MOST)
        with self._written():
            return waiting_page(self.store, self.scenario, self.now, as_text(like), first, most)

    @contextmanager
    def _written(self) -> Iterator[None]:
        with self.store.lock:
            self._simulation.twins.records.write()
            yield

    def knows(self, serial_number: str) -> bool:
        """Return whether there is a record with this number, in whatever state."""
        return as_text(serial_number) in self._simulation.twins.records

    def wait(self, serial_number: str) -> dict[str, Any]:
        """Return the record of one wait, in whatever state, or raise `UnknownSerialNumber`."""
        with self._written():
            return wait_records(self.store, "serial_number", self._known(serial_number))[0]

    def instance(self, instance: int) -> dict[str, Any]:
        """Return the state of an instance: outcome, times, data fields, and its waits.

        If no instance has this number, a `ScenarioError` is raised.
        """
        with self._written():
            main = self._main
            try:
                number = units.count(instance)
            except units.InvalidValue:
                number = 0
            if not 1 <= number <= main.arrived:
                have = f"1 to {main.arrived}" if main.arrived else "none yet"
                raise ScenarioError(f"instance must be a known one ({have}), got {instance!r}")
            row = number - 1
            return {
                "instance": number,
                "process": self.scenario.process.name,
                "outcome": INSTANCE_OUTCOMES[Outcome(main.outcomes[row])],
                "arrived": float(main.numbers.arrivals[row]),
                "ended": None if math.isnan(main.ended[row]) else main.ended[row],
                "fields": dict(main.fields.get(row, {})),
                "waits": wait_records(self.store, "instance", number),
            }

    @property
    def instances_count(self) -> int:
        """How many instances have arrived."""
        return self._main.arrived

    def beside(self, serial_number: str) -> pd.DataFrame:
        """Return the state of the same step under each strategy, one row each."""
        with self.store.lock:
            return self._simulation.twins.beside(self._known(serial_number))

    @property
    def answers(self) -> pd.DataFrame:
        """The latest inputs and their answers, the last one last."""
        table = pd.DataFrame(list(self.answers_given), columns=list(AnswerLogEntry._fields))
        stamps = self.scenario.calendar.timestamps(table["instant"].to_numpy(dtype=float))
        table.insert(0, "at", stamps)
        return table

    def lane(self, strategy: str | None = None) -> LiveSimulation:
        """Return the simulation of a strategy, by its label; by default the main one.

        Only look at it: what is changed there is not in the store.
        """
        labels, twins = self.strategies, self._simulation.twins
        if strategy is None:
            return twins.main
        return twins.all[labels.index(choice("strategy", strategy, labels))]

    def so_far(self, strategy: str | None = None) -> Run:
        """Return what has happened until now under a strategy: the tables of a run.

        The invariants of `asyncsim.engine.invariants` are checked, unless an operator has retried a
        step: then its times are those of the last try.
        """
        with self.store.lock:
            simulation = self.lane(strategy)
            record = record_of(simulation)
            if not simulation.retried:
                check_invariants(record, self.scenario)
            if simulation is self._main:
                finishes = self._simulation.journal.finishes_without_effect()
                record = with_rejected_finishes(record, finishes)
            return Run(self.scenario, simulation.strategy, simulation.draws, record)

    # --- the end ----------------------------------------------------------------------------------

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

        The clock is paused, and all inputs are deleted. If the session has a store, its journal is
        not deleted, and an `EngineError` is raised.
        """
        if self.why_no_reset:
            raise EngineError(self.why_no_reset)
        self.pause()
        with self.store.lock:
            self._simulation.reset()
            self.answers_given = deque(maxlen=LATEST)
        self._notify_listeners()

    def backup(self, path: str | Path) -> None:
        """Copy the session into a new file, which can be opened or replayed.

        Use this, and not a copy of the store's files, while the session is open. It also saves a
        session whose own file cannot be written any more. A file that exists already, or cannot be
        written, raises a `ScenarioError`.
        """
        with self.store.lock:
            if self.store.about("format") is None:  # until now in memory only
                with self.store.transaction():
                    self.setup.keep(self.store)
            with suppress(StoreError):  # what is durable is what is copied
                self._simulation.commit()
            self.store.backup(path)

    def call_at_close(self, function: Callable[[], object]) -> None:
        """Call a function when the session is closed."""
        self._at_close.append(function)

    def close(self) -> None:
        """Stop the clock and close the store, which can be opened again."""
        self._clock.stop()
        for function in self._at_close:
            function()
        with self.store.lock:
            try:
                if not self.store.closed:
                    self._simulation.commit()
            except StoreError as error:  # what was acknowledged is in the store, or was reported
                logger.warning("the last simulated instants were not saved: %s", error)
            finally:
                self.store.close()

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _repr_html_(self) -> str:
        with self.store.lock:
            first: list[str] = []
            if not self.store.closed and self.waiting_count:
                first = self.page(most=MOST_NAMED)[1]["serial_number"].tolist()
        playing = f"playing at {self.speed:,g} times real time" if self.playing else "paused"
        named = ", ".join(first) + ", …" * (self.waiting_count > len(first) > 0)
        strategy, *twins = self.strategies
        facts = [
            ("waiting", f"{counted(self.waiting_count, 'step', 'steps')}: {named}".rstrip(": ")),
            ("arrived", counted(self.instances_count, "instance", "instances")),
            ("strategy", strategy + (f"; beside it {', '.join(twins)}" if twins else "")),
            ("store", "in memory" if self.store.path == IN_MEMORY else str(self.store.path)),
        ]
        note = "session.console() finishes steps in the browser, session.view() shows the process"
        if first:
            note = f"session.finish({first[0]!r}) finishes the first of them; {note}"
        state = "closed" if self.store.closed else playing
        of_title = (
            f", live: {units.DAY_NAMES[self.at.weekday()]} {self.at:%Y-%m-%d %H:%M:%S}, {state}"
        )
        return result_html(self.scenario.name, facts_html(facts), escape(note), of_title=of_title)

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}({self.scenario.name!r}, {self.at:%Y-%m-%d %H:%M:%S}, "
            f"{self.waiting_count} waiting, {'playing' if self.playing else 'paused'})"
        )
