"""The lanes of a session and its store, kept in step.

What is played and what is written down change together, in one transaction, or not at all. After
a crash, or an error in the midst of a transaction, the lanes are made again from the journal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from asyncsim.engine.waits import Answer
from asyncsim.errors import EngineError
from asyncsim.live.lane import Lane
from asyncsim.live.setup import Setup
from asyncsim.live.sides import Sides
from asyncsim.live.store import Input, Store

Heard = Callable[[float, Input, str], None]
"""Told of every input: when it was played, what it was, and its answer."""


class DurableSides:
    """Plays a setup, and whatever its store holds already.

    Parameters
    ----------
    setup, store
        What is played, and where its records are.
    heard
        Told of every input that is played, those of the journal among them.

    Raises
    ------
    EngineError
        If the store's records are not what its journal leads to.
    """

    def __init__(self, setup: Setup, store: Store, heard: Heard) -> None:
        self.setup = setup
        self.store = store
        self._heard = heard
        self._busy = False
        self._sides = self._from_store(heard)

    @property
    def now(self) -> float:
        """The present instant in seconds."""
        return self._sides.now

    @property
    def main(self) -> Lane:
        """The lane that people see."""
        return self._sides.main

    @property
    def all(self) -> list[Lane]:
        """The main lane and its twins."""
        return self._sides.all

    def knows(self, serial_number: str) -> bool:
        """Tell whether there is a record with this number."""
        return serial_number in self._sides.records

    def write(self) -> None:
        """Write changed records, so that they can be looked at in the midst of a transaction."""
        self._sides.records.write()

    def advance(self, target: float, budget: float) -> bool:
        """Play up to an instant; false if `budget` seconds of real time were too few."""
        with self.store.lock:
            target = max(target, self.now)
            quiet = min(lane.next_instant for lane in self.all) > target
            if quiet and not self.store.changed_outside():
                return self._sides.advance(target)  # nothing happens, so there is nothing to write
            with self._together():
                return self._sides.advance(target, budget)

    def take(
        self, kind: str, serial_number: str | None, data: Mapping[str, Any] | None = None
    ) -> str:
        """Play an input now and write it down; return the answer to it."""
        with self.store.lock:
            with self._together():
                given = Input(kind, serial_number, data, instant=self.now)
                known = serial_number is None or self.knows(serial_number)
                answer = self._sides.play(given)
                if known:  # what concerns no record changes nothing
                    self.store.note(given._replace(answer=answer))
            self._heard(self.now, given, answer)
        return answer

    def commit(self) -> None:
        """Make the present instant durable."""
        with self.store.lock, self._together():
            pass

    @contextmanager
    def _together(self) -> Iterator[None]:
        """Make all that is done durable together; first comes what other processes have done."""
        if self._busy:
            raise EngineError("a function of on_response may look at the session, not act in it")
        self._busy = True
        try:
            with self.store.transaction():
                self._hear_other_processes(self._sides, self._heard)
                yield
                self._sides.records.write()
                self.store.tell("now", self.now)
        except BaseException:  # an interrupt, a full disk, a user's own strategy that fails
            self._sides = self._from_store(lambda *_: None)  # what was heard is known
            raise
        finally:
            self._busy = False

    def _hear_other_processes(self, sides: Sides, heard: Heard) -> None:
        for given in self.store.inputs("instant is null"):
            if given.answer == Answer.FINISHED.name:
                sides.records.as_before_finish(given.serial_number or "")
            self._play_again(sides, given, heard)
            sides.records.write()
            self.store.played(given, sides.now)

    def _play_again(self, sides: Sides, given: Input, heard: Heard) -> None:
        answer = sides.play(given)
        if answer != given.answer:
            raise self._another_story(f"input {given.seq} was {given.answer}, is {answer}")
        heard(sides.now, given, answer)

    def _from_store(self, heard: Heard) -> Sides:
        """Play again what the store has, from the journal, and hold it against the records."""
        setup, store = self.setup, self.store
        with store.transaction():
            now = store.about("now", 0.0)
            store.do("create temp table before as select serial_number, state from waits")
            store.forget_waits()
            sides = Sides(setup, store)
            for given in store.inputs("instant is not null"):
                assert given.instant is not None
                sides.advance(given.instant)
                self._play_again(sides, given, heard)
            sides.advance(now)
            self._hear_other_processes(sides, heard)
            sides.records.write()
            differ = store.one(
                "select serial_number from (select * from before "
                "except select serial_number, state from waits)"
            )
            if differ is not None:
                raise self._another_story(f"{differ[0]!r} is not as it was")
            store.do("drop table before")
            store.tell("now", sides.now)
        return sides

    def _another_story(self, what: str) -> EngineError:
        return EngineError(
            f"store {self.store.path!r} cannot be gone on with: {what}; it was changed by hand, or "
            "written by another version of asyncsim"
        )
