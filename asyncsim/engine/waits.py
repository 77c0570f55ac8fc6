"""Serial numbers, the life of a wait, and the answer to every finish.

A wait is a record::

    called ──arm──▶ armed ──finish──▶ finished
       ├──────────────┼────expire───▶ timed out, or gave up
       └──────────────┴────cancel───▶ cancelled

Only `Waits` changes the state of a record, and only along these arrows: a step can neither resume
twice nor vanish. Every finish, from a callback, a check or a user, gets an `Answer`; the server's
`FinishPolicy` decides the answers to all but the first.
"""

from __future__ import annotations

import enum
import math
from collections import deque
from collections.abc import Iterable, Mapping, MutableMapping
from typing import Any

from attrs import define, field

from asyncsim import errors
from asyncsim.model.server import KINDS, FinishPolicy
from asyncsim.model.units import nearest


class State(enum.Enum):
    """State of a wait.

    >>> [state.value for state in sim.State]
    ['called', 'waiting', 'finished', 'timed out', 'gave up', 'cancelled']
    """

    CALLED = "called"
    ARMED = "waiting"
    FINISHED = "finished"
    TIMED_OUT = "timed out"
    GAVE_UP = "gave up"
    CANCELLED = "cancelled"


class Answer(enum.Enum):
    """Result of a finish: text, whether it is accepted, and the type of error if not.

    >>> sim.Answer.EARLY.text, sim.Answer.EARLY.accepted, sim.Answer.EARLY.settled
    ('early, rejected', False, False)
    >>> sim.Answer.FINISHED
    Answer.FINISHED (finished: accepted)
    """

    FINISHED = ("finished", True, None)
    BUFFERED = ("early, buffered", True, None)
    IGNORED_EARLY = ("early, ignored", True, None)
    ACCEPTED_DUPLICATE = ("duplicate, accepted", True, None)
    ACCEPTED_LATE = ("late, accepted", True, None)
    IGNORED_UNKNOWN = ("unknown, ignored", True, None)
    EARLY = ("early, rejected", False, errors.NotArmedYet)
    DUPLICATE = ("duplicate, rejected", False, errors.AlreadyFinished)
    LATE = ("late, rejected", False, errors.WaitExpired)
    UNKNOWN = ("unknown, rejected", False, errors.UnknownSerialNumber)
    KEPT_DUPLICATE = ("duplicate, kept", True, None)
    KEPT_LATE = ("late, kept", True, None)
    STARTED_EARLY = ("early, another run", True, None)
    STARTED_DUPLICATE = ("duplicate, another run", True, None)
    STARTED_LATE = ("late, another run", True, None)
    STARTED_UNKNOWN = ("unknown, another run", True, None)

    def __init__(
        self, text: str, accepted: bool, error: type[errors.SerialNumberError] | None
    ) -> None:
        self.text = text
        self.accepted = accepted
        self.error = error

    def __repr__(self) -> str:
        result = self.error.__name__ if self.error else "accepted"
        return f"Answer.{self.name} ({self.text}: {result})"

    @property
    def kind(self) -> str:
        """Kind of the finish: finished, early, duplicate, late or unknown."""
        return self.text.partition(",")[0]

    @property
    def settled(self) -> bool:
        """Whether a retry is pointless: true for all but an early finish that was rejected."""
        return self is not Answer.EARLY

    @property
    def kept(self) -> bool:
        """Whether the value finishes the next wait of the same step in its instance."""
        return self in (Answer.KEPT_DUPLICATE, Answer.KEPT_LATE)

    @property
    def starts(self) -> bool:
        """Whether the value starts another run."""
        return self.text.endswith(OUTCOMES["start"])


OUTCOMES = {
    "reject": "rejected", "buffer": "buffered", "ignore": "ignored", "accept": "accepted",
    "keep": "kept", "start": "another run",
}  # fmt: skip
"""The end of the text of an answer, by the word of the policy."""


def answer_under(policy: FinishPolicy, kind: str) -> Answer:
    """Return the answer of a policy to a finish that is early, a duplicate, late or unknown.

    >>> answer_under(sim.FinishPolicy(late="keep"), "late")
    Answer.KEPT_LATE (late, kept: accepted)
    """
    wanted = f"{kind}, {OUTCOMES[getattr(policy, kind)]}"
    return next(answer for answer in Answer if answer.text == wanted)


@define(eq=False)
class Wait:
    """The record of one asynchronous step waiting. Times are seconds; NaN means not (yet).

    >>> sim.Wait("5_31", row=4, step=0, number=31, called=0.0)
    Wait('5_31', called)
    """

    serial_number: str
    row: int
    """Index of the instance, from 0."""
    step: int
    """Index of the node at which it waits."""
    number: int
    """Activation number, the second half of the serial number."""
    called: float
    armed: float = field(default=math.nan, init=False)
    completed: float = field(default=math.inf, init=False)  # not yet: later than every check
    closed: float = field(default=math.nan, init=False)
    state: State = field(default=State.CALLED, init=False)
    checks: int = field(default=0, init=False)
    wasted_checks: int = field(default=0, init=False)
    deliveries: int = field(default=0, init=False)
    data: Mapping[str, Any] | None = field(default=None, init=False)
    buffered: tuple[float, Mapping[str, Any] | None] | None = field(default=None, init=False)

    def __repr__(self) -> str:
        return f"Wait({self.serial_number!r}, {self.state.value})"


class Waits:
    """All waits of a run, by serial number.

    >>> waits, wait = sim.Waits(), sim.Wait("5_31", row=4, step=0, number=31, called=0.0)
    >>> waits.register(wait)
    >>> waits.finish("5_31", now=1.0).text
    'early, rejected'
    >>> waits.arm(wait, now=2.0)  # whether a buffered finish has finished it
    False
    >>> [waits.finish("5_31", now=instant).text for instant in (3.0, 4.0)]
    ['finished', 'duplicate, rejected']

    Parameters
    ----------
    policy
        How the server answers finishes that are not the first one in time.
    """

    def __init__(self, policy: FinishPolicy | None = None) -> None:
        self.policy = policy or FinishPolicy()
        self._answers = {kind: answer_under(self.policy, kind) for kind in KINDS}
        self._keeps = any(answer.kept for answer in self._answers.values())
        self._kept: dict[tuple[int, int], deque[Mapping[str, Any] | None]] = {}
        self._latest: dict[tuple[int, int], str] = {}  # armed last, by instance and step
        self.records: MutableMapping[str, Wait] = {}
        self.open_count = 0
        self.open_seconds = 0.0
        """Time integral of the number of open waits, until its last change."""
        self._last_change = 0.0

    def register(self, wait: Wait) -> None:
        """Add a record; raise an EngineError if its serial number is taken."""
        if wait.serial_number in self.records:
            raise errors.EngineError(f"serial number {wait.serial_number!r} was given out twice")
        self.records[wait.serial_number] = wait

    def changed(self, wait: Wait) -> None:
        """Handle a change of a record; a store overrides this and writes it."""

    def arm(self, wait: Wait, now: float) -> bool:
        """Arm a wait; return whether a buffered or kept finish has finished it at once."""
        if wait.state is not State.CALLED:
            raise errors.EngineError(f"{wait!r} cannot be armed")
        wait.state = State.ARMED
        wait.armed = now
        self.count_open(now, 1)
        self.changed(wait)
        if self._keeps:
            self._latest[wait.row, wait.step] = wait.serial_number
        if wait.buffered is None or self._is_stale(wait.buffered[0], now):
            return self.take_kept(wait, now) is not None
        self._close(wait, State.FINISHED, now)
        wait.data = wait.buffered[1]
        return True

    def take_kept(self, of: Wait, now: float) -> Wait | None:
        """Finish the open wait of the same step and instance by a kept value; return it, if any."""
        place = of.row, of.step
        kept, number = self._kept.get(place), self._latest.get(place)
        if not kept or number is None or (wait := self.records[number]).state is not State.ARMED:
            return None
        self._close(wait, State.FINISHED, now)
        wait.data = kept.popleft()
        return wait

    def finish(
        self, serial_number: str, now: float, data: Mapping[str, Any] | None = None
    ) -> Answer:
        """Finish a step by its serial number; it resumes if, and only if, this is the first finish.

        Parameters
        ----------
        serial_number
            The number that was handed to the external system.
        now
            The instant in seconds.
        data
            Data fields of the finish.
        """
        wait = self.records.get(serial_number)
        if wait is None:
            return self._answers["unknown"]
        if wait.state is State.ARMED:
            self._close(wait, State.FINISHED, now)
            wait.data = data
            return Answer.FINISHED
        if wait.state is State.CALLED:
            return self._finish_early(wait, now, data)
        answer = self._answers["duplicate" if wait.state is State.FINISHED else "late"]
        if answer.kept:
            self._kept.setdefault((wait.row, wait.step), deque()).append(data)
        return answer

    def _finish_early(self, wait: Wait, now: float, data: Mapping[str, Any] | None) -> Answer:
        answer = self._answers["early"]
        if answer is Answer.BUFFERED and (
            wait.buffered is None or self._is_stale(wait.buffered[0], now)
        ):
            wait.buffered = (now, data)
            self.changed(wait)
        return answer

    def _is_stale(self, kept_since: float, now: float) -> bool:
        keep = self.policy.buffer_for
        return keep is not None and now > kept_since + keep

    def error_for(self, answer: Answer, serial_number: str) -> errors.SerialNumberError | None:
        """Return the error of an answer, or None if the finish was accepted."""
        if answer.error is None:
            return None
        problems = {
            Answer.EARLY: "is not waiting yet; try again in a moment",
            Answer.DUPLICATE: "was finished before; it will not resume twice",
            Answer.LATE: "is not waiting any more: it timed out or was cancelled",
            Answer.UNKNOWN: "is not known" + nearest(serial_number, self.like(serial_number)),
        }
        return answer.error(f"serial number {serial_number!r} {problems[answer]}")

    def like(self, serial_number: str) -> Iterable[str]:
        """Return the serial numbers to search for one like a mistyped one."""
        return self.records

    def expire(self, wait: Wait, now: float, state: State = State.TIMED_OUT) -> bool:
        """Time a wait out, also before it is armed, or give it up; false if it is over."""
        if wait.state is State.CALLED and state is State.TIMED_OUT:
            wait.state, wait.closed = state, now
            self.changed(wait)
            return True
        if wait.state is not State.ARMED:
            return False
        self._close(wait, state, now)
        return True

    def cancel(self, wait: Wait, now: float) -> bool:
        """Cancel a wait; false if it is over."""
        if wait.state is State.CALLED:
            wait.state = State.CANCELLED
            self.changed(wait)
            return True
        return self.expire(wait, now, State.CANCELLED)

    def _close(self, wait: Wait, state: State, now: float) -> None:
        wait.state = state
        self.close(wait, now)

    def keep_open(self, wait: Wait, now: float) -> None:
        """Keep a wait open that is finished, until its step resumes; see `close`."""
        wait.closed = math.nan
        self.count_open(now, 1)
        self.changed(wait)

    def close(self, wait: Wait, now: float) -> None:
        """Close a wait that is over, at once or after it was kept open."""
        wait.closed = now
        self.count_open(now, -1)
        self.changed(wait)

    def count_open(self, now: float, change: int = 0) -> None:
        """Bring `open_seconds` up to an instant, at which the number of open waits changes."""
        self.open_seconds += self.open_count * (now - self._last_change)
        self._last_change = now
        self.open_count += change
