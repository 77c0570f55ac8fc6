"""The life of a wait: whatever comes, in whatever order, a step resumes at most once."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)
from thorough import times

from asyncsim.engine.waits import Answer, State, Wait, Waits
from asyncsim.errors import (
    AlreadyFinished,
    EngineError,
    NotArmedYet,
    SerialNumberError,
    UnknownSerialNumber,
    WaitExpired,
)
from asyncsim.model.server import AFTERWARDS, FinishPolicy

policies = st.builds(
    FinishPolicy,
    early=st.sampled_from(["reject", "buffer", "ignore", "start"]),
    buffer_for=st.sampled_from([None, 1.0, 5.0]),
    duplicate=st.sampled_from(AFTERWARDS),
    late=st.sampled_from(AFTERWARDS),
    unknown=st.sampled_from(["reject", "ignore", "start"]),
)
picks = st.integers(0, 10**6)
PAST = {
    "reject": "rejected",
    "accept": "accepted",
    "buffer": "buffered",
    "ignore": "ignored",
    "keep": "kept",
    "start": "another run",
}


class LifeOfWaits(RuleBasedStateMachine):
    """Registers, arms, finishes, times out and cancels at random beside a model of plain dicts."""

    @initialize(policy=policies)
    def begin(self, policy):
        self.policy = policy
        self.waits = Waits(policy)
        self.now = 0.0
        self.records = {}
        self.armed_at, self.closed_at, self.kept = {}, {}, {}
        self.stage = {}
        self.resumed = []
        self.numbers = itertools.count(1)

    @rule(seconds=st.sampled_from([0.0, 0.5, 1.0, 3.0]))
    def let_time_pass(self, seconds):
        self.now += seconds

    @rule()
    def call(self):
        row = next(self.numbers)
        wait = Wait(f"{row}_31", row - 1, 0, 31, self.now)
        self.waits.register(wait)
        self.records[wait.serial_number] = wait
        self.stage[wait.serial_number] = "called"

    def pick(self, k):
        return list(self.records)[k % len(self.records)]

    @precondition(lambda self: self.records)
    @rule(k=picks)
    def arm(self, k):
        serial = self.pick(k)
        if self.stage[serial] != "called":
            with pytest.raises(EngineError, match="cannot be armed"):
                self.waits.arm(self.records[serial], self.now)
            return
        keep = self.policy.buffer_for
        applies = serial in self.kept and (keep is None or self.now - self.kept[serial][0] <= keep)
        assert self.waits.arm(self.records[serial], self.now) is applies
        self.armed_at[serial] = self.now
        self.stage[serial] = "waiting"
        if applies:
            self.finished(serial, self.kept[serial][1])

    def finished(self, serial, data):
        self.resumed.append(serial)
        self.closed_at[serial] = self.now
        self.stage[serial] = "finished"
        assert self.records[serial].data == data

    @precondition(lambda self: self.records)
    @rule(k=picks, data=st.sampled_from([None, {"InvoiceNo": 42}, {"InvoiceNo": 43}]))
    def finish(self, k, data):
        serial = self.pick(k)
        stage, policy = self.stage[serial], self.policy
        answer = self.waits.finish(serial, self.now, data)
        expected = {
            "called": f"early, {policy.early}",
            "waiting": "finished",
            "finished": f"duplicate, {policy.duplicate}",
        }.get(stage, f"late, {policy.late}")
        word, _, does = expected.partition(", ")
        assert answer.text == (f"{word}, {PAST[does]}" if does else word)
        assert (answer.kept, answer.starts) == (does == "keep", does == "start")
        assert answer.accepted is (does != "reject")
        assert answer.settled is (expected != "early, reject")
        if stage == "called" and policy.early == "buffer":
            keep, kept = policy.buffer_for, self.kept.get(serial)
            if kept is None or (keep is not None and self.now - kept[0] > keep):
                self.kept[serial] = (self.now, data)
        if stage == "waiting":
            self.finished(serial, data)

    @rule(text=st.sampled_from(["", "5_32", "nonsense"]))
    def finish_unknown(self, text):
        answer = self.waits.finish(text, self.now)
        assert answer.text == f"unknown, {PAST[self.policy.unknown]}"

    @precondition(lambda self: self.records)
    @rule(k=picks, state=st.sampled_from([State.TIMED_OUT, State.GAVE_UP]))
    def expire(self, k, state):
        serial = self.pick(k)
        was, late = (
            self.stage[serial],
            state is State.TIMED_OUT,
        )
        open_now = was == "waiting" or (was == "called" and late)  # a long call
        assert self.waits.expire(self.records[serial], self.now, state) is open_now
        if open_now:
            self.stage[serial] = state.value
            self.closed_at[serial] = self.now
            assert self.records[serial].closed == self.now

    @precondition(lambda self: self.records)
    @rule(k=picks)
    def cancel(self, k):
        serial = self.pick(k)
        stage = self.stage[serial]
        alive = stage in ("called", "waiting")
        assert self.waits.cancel(self.records[serial], self.now) is alive
        if alive:
            self.stage[serial] = "cancelled"
        if stage == "waiting":
            self.closed_at[serial] = self.now

    @precondition(lambda self: self.records)
    @rule(k=picks)
    def register_again(self, k):
        serial = self.pick(k)
        with pytest.raises(EngineError, match=f"'{serial}' was given out twice"):
            self.waits.register(Wait(serial, 0, 0, 31, self.now))

    @invariant()
    def holds(self):
        if not hasattr(self, "waits"):
            return
        assert len(set(self.resumed)) == len(self.resumed), "a step resumed twice"
        assert self.waits.records == self.records, "a record vanished"
        for serial, wait in self.records.items():
            assert wait.state.value == self.stage[serial]
        armed = [s for s in self.stage if s in self.armed_at]
        still_open = [s for s in armed if self.stage[s] == "waiting"]
        assert self.waits.open_count == len(still_open)
        spent = sum(self.closed_at.get(s, self.now) - self.armed_at[s] for s in armed)
        self.waits.count_open(self.now)
        assert self.waits.open_seconds == pytest.approx(spent, abs=1e-9)


LifeOfWaits.TestCase.settings = settings(
    max_examples=times(40), stateful_step_count=40, deadline=None
)
TestLifeOfWaits = LifeOfWaits.TestCase


def armed(policy=None):
    """Return a registry with the wait 5_31, armed at 1 s."""
    waits = Waits(policy or FinishPolicy())
    wait = Wait("5_31", 4, 0, 31, called=0.0)
    waits.register(wait)
    waits.arm(wait, 1.0)
    return waits, wait


def test_a_new_record_is_called_and_nothing_else_has_happened():
    """A record starts as called: not armed, not complete, not closed, no checks, no data."""
    wait = Wait("5_31", 4, 0, 31, called=2.5)
    assert (wait.state, wait.called, wait.data) == (State.CALLED, 2.5, None)
    assert wait.armed != wait.armed
    assert wait.closed != wait.closed
    assert wait.completed == float("inf")
    assert (wait.checks, wait.wasted_checks, wait.deliveries) == (0, 0, 0)
    assert repr(wait) == "Wait('5_31', called)"


def test_the_first_of_two_finishes_at_one_instant_wins():
    """First commit wins: the data of the second finish is not taken over."""
    waits, wait = armed()
    assert waits.finish("5_31", 2.0, {"InvoiceNo": 1}) is Answer.FINISHED
    assert waits.finish("5_31", 2.0, {"InvoiceNo": 2}) is Answer.DUPLICATE
    assert wait.data == {"InvoiceNo": 1}
    assert (wait.state, wait.closed) == (State.FINISHED, 2.0)


@given(st.floats(0, 1e6), st.floats(1e-3, 1e6), st.floats(0, 1e6))
def test_a_buffered_finish_is_kept_for_its_time_and_no_longer(kept_at, keep, later):
    """A finish buffered at t is applied by an arming up to t + buffer_for, inclusive."""
    waits = Waits(FinishPolicy("buffer", keep))
    wait = Wait("5_31", 4, 0, 31, called=0.0)
    waits.register(wait)
    assert waits.finish("5_31", kept_at) is Answer.BUFFERED
    assert waits.arm(wait, kept_at + later) is (kept_at + later <= kept_at + keep)


def test_a_second_early_finish_does_not_prolong_the_first():
    """The buffer counts from the first early finish and keeps its data."""
    waits = Waits(FinishPolicy("buffer", 5.0))
    wait = Wait("5_31", 4, 0, 31, called=0.0)
    waits.register(wait)
    waits.finish("5_31", 1.0, {"n": 1})
    waits.finish("5_31", 4.0, {"n": 2})
    assert waits.arm(wait, 6.0) is True
    assert wait.data == {"n": 1}


ERRORS = {
    Answer.EARLY: (NotArmedYet, "'5_31' is not waiting yet; try again"),
    Answer.DUPLICATE: (AlreadyFinished, "'5_31' was finished before"),
    Answer.LATE: (WaitExpired, "'5_31' is not waiting any more: it timed out or was cancelled"),
    Answer.UNKNOWN: (UnknownSerialNumber, "'5_31' is not known"),
}


@pytest.mark.parametrize("answer", list(Answer))
def test_a_refused_finish_has_an_error_of_its_own_class(answer):
    """Every answer that is not accepted has an error naming the number; the others have none."""
    error = Waits(FinishPolicy()).error_for(answer, "5_31")
    if answer.accepted:
        assert error is None
        assert answer not in ERRORS
    else:
        kind, text = ERRORS[answer]
        assert type(error) is kind
        assert isinstance(error, SerialNumberError)
        assert text in str(error)


def test_an_unknown_number_is_answered_with_the_nearest_known_one():
    """A slip of the finger is helped: '5_13' is not known, but '5_31' is."""
    waits, _ = armed()
    error = waits.error_for(Answer.UNKNOWN, "5_13")
    assert "'5_13' is not known" in str(error)
    assert "did you mean '5_31'?" in str(error)


def test_every_answer_has_its_own_words():
    """No two answers read the same, so a log of deliveries tells them apart."""
    texts = [answer.text for answer in Answer]
    assert len(set(texts)) == len(texts) == 16


def test_a_stale_buffered_finish_makes_room_for_a_newer_one():
    """Kept for 5 s: of finishes at 0 s and 8 s, the second finishes the wait armed at 10 s."""
    waits = Waits(FinishPolicy(early="buffer", buffer_for=5.0))
    wait = Wait("5_31", 4, 0, 31, 0.0)
    waits.register(wait)
    assert waits.finish("5_31", 0.0, {"n": 1}) is Answer.BUFFERED
    assert waits.finish("5_31", 8.0, {"n": 2}) is Answer.BUFFERED
    assert waits.arm(wait, 10.0)
    assert wait.data == {"n": 2}


def test_an_answer_says_what_it_means():
    """A notebook shows it below the cell that finishes a step."""
    assert repr(Answer.FINISHED) == ("Answer.FINISHED (finished: accepted)")
    assert repr(Answer.LATE) == "Answer.LATE (late, rejected: WaitExpired)"


def entered_again(waits, number, *, row=4, step=0):
    """Return a new wait of a step that is entered again."""
    wait = Wait(f"{row + 1}_{number}", row, step, number, called=0.0)
    waits.register(wait)
    return wait


def test_a_kept_value_finishes_the_next_wait_of_its_step_and_no_other():
    """The second value for 5_31 waits for 5_33; other steps and instances do not take it."""
    waits, _ = armed(FinishPolicy(duplicate="keep"))
    waits.finish("5_31", 2.0, {"n": 1})
    assert waits.finish("5_31", 3.0, {"n": 2}) is Answer.KEPT_DUPLICATE
    assert waits.finish("5_31", 3.0, {"n": 3}) is Answer.KEPT_DUPLICATE
    for other in (entered_again(waits, 32, step=1), entered_again(waits, 31, row=5)):
        assert waits.arm(other, 4.0) is False
    for number, n in ((33, 2), (34, 3)):  # in order, each once
        wait = entered_again(waits, number)
        assert waits.arm(wait, 5.0) is True
        assert (wait.state, wait.data) == (State.FINISHED, {"n": n})
    assert waits.arm(entered_again(waits, 35), 6.0) is False


def test_a_kept_value_is_for_the_open_wait_first():
    """The late value of 5_31 is handed to 5_32, which waits already; of none it is kept."""
    waits, wait = armed(FinishPolicy(late="keep"))
    waits.expire(wait, 2.0)
    assert waits.take_kept(wait, 2.0) is None
    new = entered_again(waits, 32)
    waits.arm(new, 3.0)
    assert waits.finish("5_31", 4.0, {"n": 1}) is Answer.KEPT_LATE
    assert waits.take_kept(wait, 4.0) is new
    assert (new.state, new.closed, new.data) == (State.FINISHED, 4.0, {"n": 1})
    assert waits.take_kept(wait, 4.0) is None
    assert waits.open_count == 0
