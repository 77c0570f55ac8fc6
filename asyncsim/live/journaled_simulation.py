"""The simulations of a session and its store, kept in step.

What is played and what is written change together, in one transaction, or not at all. After a
crash, an interrupt or a failed write, the simulations in memory are discarded: before the next
action they are replayed from the journal, which needs no room on the disk.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from asyncsim.engine.waits import Answer
from asyncsim.errors import EngineError, ScenarioError, StoreError
from asyncsim.live.journal import NOT_BEGUN, WITHOUT_ANSWER, Finish, Input, Journal, JournalEntry
from asyncsim.live.live_simulation import StrategyTwins
from asyncsim.live.records import stored_responses
from asyncsim.live.setup import VERSION, Setup
from asyncsim.live.store import Store

T = TypeVar("T")


class JournaledSimulation:
    """Plays a setup from the instant of its store; `on_input` sees each input."""

    def __init__(
        self, setup: Setup, store: Store, on_input: Callable[[float, Input, str], None]
    ) -> None:
        self.setup = setup
        self.store = store
        self.journal = Journal(store)
        self._on_input = on_input
        self._busy = False
        self._twins: StrategyTwins | None = None
        if store.empty:  # in memory: a strategy of the user's own cannot be kept in a file
            with store.transaction():
                self.journal.begin()
        self._twins = self._replayed()
        for entry in self.journal.played():
            on_input(entry.instant or 0.0, entry.input, entry.text)
        if self.journal.load_head() == NOT_BEGUN:
            self._commit_together(lambda twins: twins.advance(0.0))
        elif self.journal.unplayed():
            self.commit()

    @property
    def twins(self) -> StrategyTwins:
        """The simulations, replayed from the store if the last action has failed."""
        if self._twins is not None:
            return self._twins
        with self.store.lock:
            self._twins = self._twins or self._replayed()
            return self._twins

    def advance(self, target: float, budget: float) -> bool:
        """Play up to an instant; false if `budget` seconds of real time were too few."""
        with self.store.lock:
            twins = self.twins
            target = max(target, twins.now)
            quiet = min(one.next_instant for one in twins.all) > target
            if not quiet or self._busy or self.store.changed_outside():
                return self._commit_together(lambda twins: twins.advance(target, budget))
            try:  # nothing happens, so there is nothing to write
                return twins.advance(target)
            except BaseException:
                self._twins = None
                raise

    def apply(self, inputs: Sequence[Input]) -> list[str | ScenarioError]:
        """Play inputs and record them in one transaction; return their answers."""
        with self.store.lock:
            entries = self._commit_together(lambda twins: [self._play(twins, i) for i in inputs])
            return [self._answer(*pair) for pair in zip(inputs, entries, strict=True)]

    def _play(self, twins: StrategyTwins, given: Input) -> JournalEntry:
        """Play and record an input, or return the earlier one with its key."""
        earlier = self.journal.with_key(given.key)
        if earlier is not None:
            return earlier
        known = given.serial_number is None or given.serial_number in twins.records
        answer, effective = twins.play(given)
        entry = JournalEntry(given, instant=twins.now, answer=answer, effective=effective)
        if known or effective:  # an input about no record may start another run, or does nothing
            self.journal.append(entry)
        return entry

    def _answer(self, given: Input, entry: JournalEntry) -> str | ScenarioError:
        """Return the answer to an input that is durable, and report it to the listener."""
        text = entry.text
        if entry.input is not given:
            try:
                given.check_repeats(entry.input)
            except ScenarioError as error:
                return error
            text += ", repeated"
        self._on_input(self.twins.now, given, text)
        return entry.answer

    def commit(self) -> None:
        """Make the present instant durable."""
        self._commit_together(lambda _: None)

    def reset(self) -> None:
        """Start again from the beginning, and delete all inputs."""
        with self.store.lock:
            self._check_idle()
            with self.store.transaction():
                self.store.clear()
                self.journal = Journal(self.store)
                self.journal.begin()
            self._twins = None
            self._commit_together(lambda twins: twins.advance(0.0))

    def _commit_together(self, act: Callable[[StrategyTwins], T]) -> T:
        """Play the inputs of other processes, then act, and make all of it durable together."""
        with self.store.lock:
            self._check_idle()
            twins = self.twins
            self._busy = True
            try:
                self.store.begin()  # if this fails, nothing has been played
                try:
                    entries = self._play_inputs_of_others(twins)
                    result = act(twins)
                    twins.records.write()
                    self.journal.write_head(twins.now)
                    self.store.commit()
                except BaseException:  # an interrupt, a full disk, a user's code that fails
                    self._twins = None
                    self.store.roll_back()
                    raise
            finally:
                self._busy = False
        for instant, entry in entries:
            self._on_input(instant, entry.input, entry.text)
        return result

    def _check_idle(self) -> None:
        if self._busy:
            raise EngineError("a function of on_response may look at the session, not act in it")

    def _play_inputs_of_others(self, twins: StrategyTwins) -> list[tuple[float, JournalEntry]]:
        """Play the finishes that other processes have recorded; return when, and what."""
        self.journal.load_head()
        entries = []
        for entry in self.journal.unplayed():
            if isinstance(entry.input, Finish) and entry.answer == Answer.FINISHED.name:
                twins.records.reopen(entry.input.serial_number or "")
            effective = self._play_again(twins, entry)
            twins.records.write()
            self.journal.set_played(entry.seq, twins.now, effective)
            entries.append((twins.now, entry))
        return entries

    def _replayed(self) -> StrategyTwins:
        """Replay the journal, and compare the result with the records."""
        store = self.store
        now, entries = self.journal.verified()
        try:
            store.begin_replay()
            twins = StrategyTwins(self.setup, store, stored_responses(store))
            for entry in entries:
                assert entry.instant is not None
                twins.advance(entry.instant)
                self._play_again(twins, entry)
            if now != NOT_BEGUN:
                twins.advance(now)
            twins.records.write()
            different = store.first_difference(counted_late=twins.main.skipped is not None)
            if different:
                raise self._mismatch(f"{different} is not what its journal leads to")
        finally:
            store.roll_back()
        twins.responses.replayed = None
        return twins

    def _play_again(self, twins: StrategyTwins, entry: JournalEntry) -> bool:
        """Play a recorded input; return whether it has changed anything."""
        answer, effective = twins.play(entry.input)
        if entry.answer not in (answer, WITHOUT_ANSWER):
            raise self._mismatch(f"input {entry.seq} was {entry.answer}, is {answer}")
        return effective

    def _mismatch(self, what: str) -> StoreError:
        made, here = self.store.about("asyncsim"), VERSION
        other = f"; it was made by asyncsim {made}, this is {here}" if made != here else ""
        return self.store.damaged(f"{what}{other}")
