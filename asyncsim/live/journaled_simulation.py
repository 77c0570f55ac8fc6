"""The simulations of a session and its store, kept in step.

What is played and what is written change together, in one transaction, or not at all. After a
crash, an interrupt or a failed write, what was played in memory is not trusted: before the next
action the simulations are made again from the journal, which needs no room on the disk.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from asyncsim.engine.waits import Answer
from asyncsim.errors import EngineError, ScenarioError, StoreError
from asyncsim.live.journal import NOT_BEGUN, WITHOUT_ANSWER, Input, Journal
from asyncsim.live.live_simulation import LiveSimulation
from asyncsim.live.responses import kept_responses
from asyncsim.live.setup import VERSION, Setup
from asyncsim.live.store import Store
from asyncsim.live.twins import StrategyTwins

T = TypeVar("T")
InputListener = Callable[[float, Input, str], None]
"""Called with every input: when it was played, what it was, and its answer."""


class JournaledSimulation:
    """Plays a setup, and whatever its store holds already.

    Parameters
    ----------
    setup, store
        What is played, and where its records are.
    heard
        Called with every input that is played, those of the journal among them.

    Raises
    ------
    StoreError
        If the store's records are not what its journal leads to.
    """

    def __init__(self, setup: Setup, store: Store, heard: InputListener) -> None:
        self.setup = setup
        self.store = store
        self.journal = Journal(store)
        self._heard = heard
        self._busy = False
        self._sides: StrategyTwins | None = None
        if store.empty:  # in memory: strategies of your own cannot be kept in a file
            with store.lock, store.transaction():
                self.journal.begin()
        self.current()
        for given in self.journal.latest():
            heard(given.instant or 0.0, given, text_of(str(given.answer)))
        if self.journal.load() == NOT_BEGUN:
            self._together(lambda sides: sides.advance(0.0))
        elif self.journal.waiting():
            self.commit()

    def current(self) -> StrategyTwins:
        """Return the simulations, made again from the store if the last action has failed.

        Raises
        ------
        StoreError
            If that is not possible.
        """
        if self._sides is not None:
            return self._sides
        with self.store.lock:
            if self._sides is None:
                self._sides = self._from_store()
            return self._sides

    @property
    def now(self) -> float:
        """The present instant in seconds."""
        return self.current().now

    @property
    def main(self) -> LiveSimulation:
        """The simulation that people see."""
        return self.current().main

    @property
    def all(self) -> list[LiveSimulation]:
        """The main simulation and its twins."""
        return self.current().all

    def reset(self) -> None:
        """Start again from the beginning; all that came from outside is forgotten."""
        with self.store.lock:
            self._check_idle()
            with self.store.transaction():
                self.store.clear()
                self.journal = Journal(self.store)
                self.journal.begin()
            self._sides = None
            self._together(lambda sides: sides.advance(0.0))

    def knows(self, serial_number: str) -> bool:
        """Return whether there is a record with this number."""
        return serial_number in self.current().records

    def write(self) -> None:
        """Write changed records: a user's function may look at them while things happen."""
        self.current().records.write()

    def advance(self, target: float, budget: float) -> bool:
        """Play up to an instant; false if `budget` seconds of real time were too few."""
        with self.store.lock:
            sides = self.current()
            target = max(target, sides.now)
            quiet = min(lane.next_instant for lane in sides.all) > target
            if not quiet or self._busy or self.store.changed_outside():
                return self._together(lambda sides: sides.advance(target, budget))
            try:  # nothing happens, so there is nothing to write
                return sides.advance(target)
            except BaseException:
                self._sides = None
                raise

    def take(self, inputs: Sequence[Input]) -> list[str | ScenarioError]:
        """Play inputs now, in order, and record them in one transaction; return their answers.

        With an idempotency key that came before, nothing is played: the answer is the same again,
        or an error that says that the key was used for something else.
        """

        def play(sides: StrategyTwins) -> list[tuple[Input, Input | None]]:
            return [self._record(sides, given) for given in inputs]

        with self.store.lock:
            return [self._answer(given, before) for given, before in self._together(play)]

    def _record(self, sides: StrategyTwins, given: Input) -> tuple[Input, Input | None]:
        """Play an input and record it; return it with its answer, and the one it repeats."""
        given = given._replace(instant=sides.now)
        before = self.journal.with_key(given.key)
        if before is not None:
            return given, before
        known = given.serial_number is None or given.serial_number in sides.records
        answer, effective = sides.play(given)
        given = given._replace(answer=answer, effective=effective)
        if known:  # what concerns no record changes nothing
            self.journal.note(given.with_final_key())
        return given, None

    def _answer(self, given: Input, before: Input | None) -> str | ScenarioError:
        """Return the answer to an input that is durable, and let it be heard."""
        try:
            repeated = ", repeated" if before is not None and given.repeats(before) else ""
        except ScenarioError as error:
            return error
        answer = str((before or given).answer)
        self._heard(self.now, given, text_of(answer) + repeated)
        return answer

    def commit(self) -> None:
        """Make the present instant durable."""
        self._together(lambda _: None)

    def _together(self, act: Callable[[StrategyTwins], T]) -> T:
        """Make all that is done durable together; first comes what other processes have done."""
        heard: list[tuple[float, Input, str]] = []
        with self.store.lock:
            self._check_idle()
            sides = self.current()
            self._busy = True
            try:
                self.store.begin()  # if this fails, nothing has been played
                try:
                    heard = self._hear_other_processes(sides)
                    result = act(sides)
                    sides.records.write()
                    self.journal.reach(sides.now)
                    self.store.commit()
                except BaseException:  # an interrupt, a full disk, a user's code that fails
                    self._sides = None
                    self.store.roll_back()
                    raise
            finally:
                self._busy = False
        for now, given, answer in heard:
            self._heard(now, given, text_of(answer))
        return result

    def _check_idle(self) -> None:
        if self._busy:
            raise EngineError("a function of on_response may look at the session, not act in it")

    def _hear_other_processes(self, sides: StrategyTwins) -> list[tuple[float, Input, str]]:
        self.journal.load()
        heard = []
        for given in self.journal.waiting():
            if given.answer == Answer.FINISHED.name:
                sides.records.as_before_finish(given.serial_number or "")
            effective = self._play_again(sides, given)
            sides.records.write()
            self.journal.played(given._replace(instant=sides.now, effective=effective))
            heard.append((sides.now, given, str(given.answer)))
        return heard

    def _play_again(self, sides: StrategyTwins, given: Input) -> bool:
        answer, effective = sides.play(given)
        if given.answer not in (answer, WITHOUT_ANSWER):
            raise self._mismatch(f"input {given.seq} was {given.answer}, is {answer}")
        return effective

    def _from_store(self) -> StrategyTwins:
        """Play again what the store has, from the journal, and hold it against the records."""
        setup, store = self.setup, self.store
        now, inputs = self.journal.verified()
        try:
            store.rehearse()
            sides = StrategyTwins(setup, store, kept_responses(store))
            for given in inputs:
                assert given.instant is not None
                sides.advance(given.instant)
                self._play_again(sides, given)
            if now != NOT_BEGUN:
                sides.advance(now)
            sides.records.write()
            different = store.different(counted_late=sides.main.skipped is not None)
            if different:
                raise self._mismatch(f"{different} is not what its journal leads to")
        finally:
            store.roll_back()
        sides.responses.replayed = None
        return sides

    def _mismatch(self, what: str) -> StoreError:
        made, here = self.store.about("asyncsim"), VERSION
        other = f"; it was made by asyncsim {made}, this is {here}" if made != here else ""
        return self.store.damaged(f"{what}{other}")


def text_of(answer: str) -> str:
    """Return an answer in words: the text of a name of `Answer`, anything else as it is."""
    return Answer[answer].text if answer in Answer.__members__ else answer
