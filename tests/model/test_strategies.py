"""Strategies check when they say they do, on grids that no rounding can upset."""

import itertools
import math

import numpy as np
import pytest
from attrs import frozen
from fake_step import FakeStep, play
from hypothesis import assume, example, given
from hypothesis import strategies as st
from scenarios import backoffs, pollings, strategies

from asyncsim.errors import EngineError, ScenarioError
from asyncsim.model.distributions import exponential
from asyncsim.model.scenario_files import told_apart
from asyncsim.model.specifications import (
    Deliveries,
    Grid,
    Intervals,
    StrategySpecification,
    grid_index,
)
from asyncsim.model.strategies import (
    STRATEGIES,
    Backoff,
    Callback,
    CallbackWithSafetyPoll,
    CheckingStrategy,
    LongPolling,
    Polling,
    PollingAt,
    ServerDirected,
    SharedPoll,
    Strategy,
)
from asyncsim.model.units import text_of

# --- polling -----------------------------------------------------------------------------------


def test_anchors():
    """Armed at 100, every 30 s: from arming 130, by the clock 120, at random in between."""
    step = FakeStep(armed=100.0)
    assert Polling(30).next_check(step) == 130.0
    assert Polling(30, "clock").next_check(step) == 120.0
    assert 100.0 < Polling(30, "random").next_check(step) <= 130.0


def test_a_random_phase_is_uniform_and_stays():
    """Each wait has one phase of its own, uniform over the interval, for all of its checks."""
    polling = Polling(30, "random")
    first = []
    for number in range(4000):
        step = FakeStep(armed=100.0, number=number)
        first.append(polling.next_check(step) - 100.0)
        step.last_check = 100.0 + first[-1]
        assert polling.next_check(step) == pytest.approx(130.0 + first[-1])
    share = np.histogram(first, bins=10, range=(0, 30))[0]
    chi_squared = np.sum((share - 400) ** 2 / 400)
    assert chi_squared < 9 + 5 * math.sqrt(18)  # nine degrees of freedom


@given(pollings(), st.floats(0, 1e6), st.floats(0, 5000), st.integers(0, 100))
def test_a_check_is_never_before_the_end_of_the_last(polling, armed, busy, number):
    """However long a check takes, the next is due later, at most an interval and jitter away."""
    step = FakeStep(armed, number=number)
    for _ in range(5):
        due = polling.next_check(step)
        assert step.last_check < due
        # One millionth of a second for the rounding of grid points
        assert due <= step.last_check + polling.interval + polling.jitter + 1e-6
        step.checks += 1
        step.last_check = due + busy


@given(pollings(), st.sampled_from([0.0, 0.1, 100.0, 12345.6]), st.integers(0, 50))
def test_jitter_delays_grid_points(polling, armed, number):
    """A check is late on its grid point by at most the jitter."""
    step = FakeStep(armed, number=number)
    start = polling._start(step)
    for _ in range(3):
        due = polling.next_check(step)
        k = grid_index(start, polling.interval, step.last_check)
        late = due - (start + k * polling.interval)
        assert 0 <= late <= polling.jitter
        step.last_check = due


@given(
    pollings(),
    st.sampled_from([0.0, 0.1, 100.0]) | st.floats(0, 1e6),
    st.sampled_from([0.0, 0.7]) | st.floats(0, 4000),
    st.integers(0, 20) | st.floats(0, 20),
    st.sampled_from([0.0, 1e-9, -1e-9, 5.0]),
)
def test_skipping_on_the_grid_is_walking_it(polling, armed, busy, intervals, beside):
    """The short cut gives the checks and the last check of the walk, also at grid points."""
    last_check = armed + busy
    fast, slow = FakeStep(armed, last_check), FakeStep(armed, last_check)
    grid = Grid.of(polling)
    before = grid._start(fast) + intervals * polling.interval + beside
    grid.skip(fast, before)
    while (due := polling.next_check(slow)) < before:
        slow.checks += 1
        slow.last_check = due
    assert (fast.checks, fast.last_check) == (slow.checks, slow.last_check)
    assert polling.next_check(fast) >= before


# --- backoff -----------------------------------------------------------------------------------


def test_intervals_double_up_to_the_cap():
    """1, 2, 4, 8, 10, 10, …: also where the power is beyond every float."""
    backoff = Backoff(first=1, factor=2, cap=10)
    assert [backoff.schedule.interval(k) for k in range(6)] == [1, 2, 4, 8, 10, 10]
    assert backoff.schedule.interval(5000) == 10
    assert Intervals("1ms", 1e6, 10).interval(60) == 10
    assert Intervals(3, 1, 10).interval(5000) == 3


def test_each_interval_counts_from_the_end_of_the_check_before():
    """A check that ended at 107 after two others is followed by one at 111."""
    step = FakeStep(armed=100.0, last_check=107.0)
    step.checks = 2
    assert Backoff(first=1, factor=2, cap=60).next_check(step) == 111.0


def slept(backoff, k, n=4000):
    """Return the k-th interval of many waits."""
    found = []
    for number in range(n):
        step = FakeStep(number=number)
        step.checks = k
        found.append(backoff.next_check(step))
    return np.array(found)


@pytest.mark.parametrize(
    ("jitter", "low", "high"),
    [("full", 0.0, 8.0), ("equal", 4.0, 8.0), ("decorrelated", 1.0, 20.0)],
)
def test_jitter_keeps_within_its_bounds(jitter, low, high):
    """Full jitter takes any part of the interval, equal jitter the second half of it."""
    found = slept(Backoff(first=1, factor=2, cap=20, jitter=jitter), 3)
    assert low <= found.min()
    assert found.max() <= high
    if jitter != "decorrelated":
        error = (high - low) / math.sqrt(12 * len(found))
        assert abs(found.mean() - (low + high) / 2) < 5 * error


def test_decorrelated_jitter_depends_on_the_sleep_before():
    """Sleep k+1 is uniform from first to three times sleep k: E = (first + 3 E[sleep k]) / 2."""
    backoff = Backoff(first=1, factor=2, cap=1e9, jitter="decorrelated")
    means = [slept(backoff, k) for k in range(4)]
    expected = 1.0
    for found in means:
        expected = (1.0 + 3 * expected) / 2
        assert abs(found.mean() - expected) < 5 * found.std() / math.sqrt(len(found))


@given(backoffs(), st.integers(0, 30), st.integers(0, 100))
def test_backoff_checks_go_forward(backoff, checks, number):
    """No check is due before the end of the last one, nor later than the cap after it."""
    step = FakeStep(armed=50.0, last_check=60.0, number=number)
    step.checks = checks
    assert 60.0 <= backoff.next_check(step) <= 60.0 + backoff.cap


# --- long polling and callback -----------------------------------------------------------------


def test_long_polling_holds_one_request_after_the_other():
    """Held for 30 s each and complete at 70: requests at 0, 30 and 60."""
    step = FakeStep(complete=70.0)
    play(LongPolling(30).wait(step))
    assert step.acts == [("hold", 0.0), ("hold", 30.0), ("hold", 60.0)]


def test_a_callback_is_delivered_after_its_delay():
    """One delivery, no retry, no wait."""
    step = FakeStep()
    callback = Callback(delay=2, retries=[5])
    assert callback.wait(step) is None
    play(callback.notify(step))
    assert step.acts == [("deliver", 2.0, 0)]


def test_refused_deliveries_are_repeated_by_the_schedule():
    """Refused twice, with pauses of 5 and 30: attempts sent at 0, 5 and 35."""
    step = FakeStep()
    step.answers = [False, False, True]
    play(Callback(delay=2, retries=["5s", "30s", "1h"]).notify(step))
    assert step.acts == [("deliver", 2.0, 0), ("deliver", 7.0, 1), ("deliver", 37.0, 2)]


def test_a_callback_that_is_always_lost_ends_as_a_dead_letter():
    """Every attempt is lost at its own time, then the sender gives up."""
    step = FakeStep()
    play(Callback(loss=1, retries=[5, 0, 10]).notify(step))
    assert step.acts == [
        ("lost", 0.0, 0),
        ("lost", 5.0, 1),
        ("lost", 5.0, 2),
        ("lost", 15.0, 3),
        ("dead", 15.0),
    ]


def test_a_duplicate_comes_later():
    """With certain duplication a second copy follows the first by its own delay."""
    step = FakeStep()
    play(Callback(delay=2, duplicates=1, duplicate_delay=3).notify(step))
    assert step.acts == [("copy", 5.0, 0), ("deliver", 2.0, 0)]


def test_losses_come_at_their_rate():
    """Of 4000 callbacks with 25 % loss about 1000 are lost."""
    lost = 0
    for number in range(4000):
        step = FakeStep(number=number)
        play(Callback(loss=0.25).notify(step))
        lost += step.acts[0][0] == "lost"
    assert abs(lost - 1000) < 5 * math.sqrt(4000 * 0.25 * 0.75)


def test_a_safety_poll_is_a_poll_beside_a_callback():
    """It waits as polling does and notifies as a callback does."""
    both = CallbackWithSafetyPoll(delay=2, every=30, anchor="clock")
    assert both.safety_poll == Polling(30, "clock")
    polled, called = FakeStep(armed=10, complete=65), FakeStep()
    play(both.wait(polled))
    assert polled.acts == [("check", 30.0), ("check", 60.0), ("check", 90.0)]
    play(both.notify(called))
    assert called.acts == [("deliver", 2.0, 0)]


# --- what all of them have ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(90, "1.5 min"), (0.25, "250 ms"), (3600, "1 h"), (172800, "2 d"), (59, "59 s"), (0, "0 ms")],
)
def test_durations_in_labels(seconds, text):
    """A label says a duration in the largest unit that it fills."""
    assert text_of(seconds) == text


@pytest.mark.parametrize(
    ("strategy", "label"),
    [
        (Polling("15min"), "polling 15 min"),
        (Polling("15min", "clock"), "polling 15 min, clock"),
        (Backoff(), "backoff 1 s x 2 up to 1 h"),
        (Backoff(jitter="full", cap="1min"), "backoff 1 s x 2 up to 1 min, full jitter"),
        (LongPolling("30s"), "long polling 30 s"),
        (ServerDirected("1min", error=0.25), "server directed 1 min, error 0.25"),
        (SharedPoll("5min", most=2000), "shared poll 5 min, 2,000 at most"),
        (Callback(), "callback"),
        (Backoff(cap=None), "backoff 1 s x 2 uncapped"),
        (Callback(loss=0.02), "callback, 2 % lost"),
        (Callback(loss=0.02, retries=["5s", "1min"]), "callback, 2 % lost, 2 retries"),
        (CallbackWithSafetyPoll(every="5min"), "callback, safety poll 5 min"),
    ],
)
def test_labels(strategy, label):
    """A strategy has a short name for tables and legends."""
    assert strategy.label == label
    assert str(strategy) == label


@given(strategies(), st.sampled_from([5.0, exponential(600)]))
def test_expectations_are_numbers_or_nothing(strategy, external):
    """A closed form is finite and sensible; where there is none, None says so."""
    expected = strategy.expected(external)
    if expected is None:
        assert (
            getattr(strategy, "limit", None) is not None
            or getattr(strategy, "jitter", 0) not in (0, "none")
            or isinstance(
                strategy, CallbackWithSafetyPoll | PollingAt | ServerDirected | SharedPoll
            )
            or getattr(strategy, "window", None) is not None
            or (getattr(strategy, "first", None) and strategy.anchor != "arming")
        )
        return
    assert expected.latency >= 0 or expected.unresolved == 1.0
    assert 0 <= expected.wasted_share <= 1
    assert 0 <= expected.unresolved <= 1
    assert expected.checks + expected.deliveries > 0


def test_a_closed_form_names_a_wrong_external_time():
    """Nonsense for an external time is refused as what it is."""
    for strategy in (Polling(60), Polling(60, limit=2), Backoff(), LongPolling(), Callback()):
        with pytest.raises(ScenarioError, match=r"^external must be a duration such as"):
            strategy.expected("soon")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Polling("-5min"), "Polling.interval must be positive, got '-5min'"),
        (lambda: Polling("1min", jitter="2min"), "Polling.jitter must not exceed the interval"),
        (lambda: Polling("1min", limit=0), "Polling.limit must be a whole number, 1 or more"),
        (lambda: Backoff(first=0), "Backoff.first must be positive"),
        (lambda: Backoff(factor=0.9), "Backoff.factor must be 1 or more"),
        (lambda: Backoff(factor=math.nan), "Backoff.factor must be a finite number"),
        (lambda: Backoff(first=10, cap=5), "Backoff.cap must be at least first (10.0 s), got 5.0"),
        (lambda: Backoff(jitter="ful"), "Backoff.jitter must be one of 'none', 'full'"),
        (lambda: LongPolling(0), "LongPolling.hold must be positive"),
        (lambda: Callback(delay=-1), "Callback.delay must not be negative"),
        (lambda: Callback(retries="5s"), "Callback.retries must be a list of pauses"),
        (lambda: Callback(retries=["5s", -1]), "Callback.retries must not be negative"),
        (lambda: Callback(duplicates=2), "Callback.duplicates must be a probability"),
        (lambda: CallbackWithSafetyPoll(every=0), "CallbackWithSafetyPoll.every must be positive"),
    ],
)
def test_what_cannot_be_is_refused_by_name(make, message):
    """The refusal begins with the class and the argument."""
    with pytest.raises(ScenarioError) as caught:
        make()
    assert str(caught.value).startswith(message)


def test_every_built_in_strategy_has_its_word():
    """Strategies are found by the words of the design."""
    assert all(issubclass(kind, Strategy) for kind in STRATEGIES.values())
    assert STRATEGIES["callback with safety poll"] is CallbackWithSafetyPoll
    assert len(set(STRATEGIES.values())) == len(STRATEGIES)


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (lambda: LongPolling("1e-9s"), "LongPolling.hold must be at least 1 ms"),
        (lambda: LongPolling("0.9ms"), "LongPolling.hold must be at least 1 ms"),
        (lambda: Backoff("1s", factor=1e7), "Backoff.factor must be 1,000,000 at most"),
        (lambda: Backoff("1s", cap=1e12), r"Backoff.cap must be 1e\+11 s at most"),
        (lambda: Callback(retries=[0] * 1001), "Callback.retries must be 1,000 pauses at most"),
        (lambda: Callback(retries=["1e12s"]), r"Callback.retries must be 1e\+11 s at most"),
    ],
)
def test_what_would_be_played_for_ever_is_refused(make, problem):
    """No sender and no server asks more than a thousand times a second, or without end."""
    with pytest.raises(ScenarioError, match=problem):
        make()


@pytest.mark.parametrize(
    ("pair", "expected"),
    [
        (
            [Callback("50ms"), Callback(exponential("1s")), Polling("1min")],
            ["callback, delay 50 ms", "callback, delay exponential mean 1 s", "polling 1 min"],
        ),
        (
            [Callback(loss=0.1, retries=["5s"]), Callback(loss=0.1, retries=["5min"])],
            [
                "callback, 10 % lost, 1 retry, retries 5 s",
                "callback, 10 % lost, 1 retry, retries 5 min",
            ],
        ),
        (
            [Callback(duplicates=0.5), Callback(duplicates=0.5, duplicate_delay="2s")],
            [
                "callback, 50 % doubled, duplicate delay 1 s",
                "callback, 50 % doubled, duplicate delay 2 s",
            ],
        ),
        (
            [CallbackWithSafetyPoll("1s"), CallbackWithSafetyPoll("1s", anchor="random")],
            [
                "callback, safety poll 5 min, anchor arming",
                "callback, safety poll 5 min, anchor random",
            ],
        ),
        (
            [Polling(60.001), Polling(60.002)],
            ["polling 1 min, interval 60001 ms", "polling 1 min, interval 60002 ms"],
        ),
        (
            [Backoff(limit=3), Backoff()],
            ["backoff 1 s x 2 up to 1 h, 3 at most", "backoff 1 s x 2 up to 1 h"],
        ),
        ([Polling("1min"), Backoff()], ["polling 1 min", Backoff().label]),
        ([Callback("1s"), Callback("1s")], ["callback", "callback"]),
    ],
)
def test_labels_that_are_equal_show_what_differs(pair, expected):
    """No parameter is hidden behind a number; a label of its own stays as short as it is."""
    assert list(told_apart(pair)) == expected


class Mine(Callback):
    """A strategy of another kind with the same label."""


def test_kinds_of_one_label_show_their_names():
    """A subclass is called by its class; what has no parameters to show stays as it is."""
    assert told_apart([Callback(), Mine()]) == ("callback, Callback", "callback, Mine")


@given(st.lists(strategies(), min_size=2, max_size=6))
def test_no_two_strategies_that_differ_have_one_label(found):
    """For every pair of parameters of every built-in strategy."""
    labels = told_apart(found)
    for (one, label), (other, another) in itertools.combinations(
        zip(found, labels, strict=True), 2
    ):
        assert (label == another) == (one == other)


# --- what a strategy leaves out -------------------------------------------------------------------


@frozen
class EveryTenSeconds(CheckingStrategy):
    limit: int | None = None

    def next_check(self, step):
        return step.last_check + 10.0


def test_a_plain_strategy_waits_and_notifies_nobody():
    """Leaving wait and notify out means that nothing happens, and nothing is promised."""
    strategy = Strategy()
    assert strategy.wait(FakeStep()) is None
    assert strategy.notify(FakeStep()) is None
    assert strategy.expected(5.0) is None
    assert strategy.specification is None
    assert not strategy.polls
    assert not strategy.notifies
    assert str(strategy) == "Strategy"


def test_next_check_must_be_given():
    """A checking strategy with neither next_check nor a schedule is refused by its name."""

    class Undecided(CheckingStrategy):
        pass

    message = "^Undecided must define next_check, or a specification with a schedule$"
    with pytest.raises(EngineError, match=message):
        play(Undecided().wait(FakeStep()))


def test_checks_go_on_until_the_work_is_complete():
    """Complete at 25: wasted checks at 10 and 20, the last at 30."""
    step = FakeStep(complete=25.0)
    play(EveryTenSeconds().wait(step))
    assert step.acts == [("check", 10.0), ("check", 20.0), ("check", 30.0)]


def test_a_check_at_the_very_instant_of_completion_sees_it():
    """Complete at 20: the check at 20 is the last one."""
    step = FakeStep(complete=20.0)
    play(EveryTenSeconds().wait(step))
    assert step.checks == 2


def test_giving_up_after_the_limit():
    """With a limit of 2 there are two checks, then it gives up; the second may still succeed."""
    step = FakeStep(complete=25.0)
    play(EveryTenSeconds(limit=2).wait(step))
    assert step.acts == [("check", 10.0), ("check", 20.0), ("give up", 20.0)]
    step = FakeStep(complete=15.0)
    play(EveryTenSeconds(limit=2).wait(step))
    assert step.acts == [("check", 10.0), ("check", 20.0)]


@pytest.mark.parametrize("schedule", [Grid(10), Intervals(10, 1), Grid(10, jitter=1e-9)])
def test_skipped_checks_are_counted(schedule):
    """Before 30 lie the checks at 10 and 20; the one at 30 is not before it."""
    step = FakeStep()
    schedule.skip(step, 30.0)
    assert step.checks == 2
    assert step.last_check == pytest.approx(20.0)


def test_the_limit_of_a_schedule_holds_without_a_field_of_that_name():
    """A strategy that only has a specification gives up as the specification says."""

    class Twice(CheckingStrategy):
        specification = StrategySpecification(Grid(10, limit=2))

    step = FakeStep(complete=25.0)
    play(Twice().wait(step))
    assert step.acts == [("check", 10.0), ("check", 20.0), ("give up", 20.0)]
    assert Backoff(limit=3).limit == Backoff(limit=3).schedule.limit == 3


def test_a_schedule_of_its_own_needs_none_in_the_specification():
    """With next_check, a specification of deliveries only neither limits nor schedules checks."""

    class Called(CheckingStrategy):
        specification = StrategySpecification(deliveries=Deliveries())
        next_check = EveryTenSeconds.next_check

    step = FakeStep(complete=15.0)
    play(Called().wait(step))
    assert step.acts == [("check", 10.0), ("check", 20.0)]


# --- grids ----------------------------------------------------------------------------------------


class Counted(float):
    """An interval that counts how often a grid point is worked out."""

    looked_at = 0

    def __rmul__(self, k):
        Counted.looked_at += 1
        return k * float(self)


anchors = st.floats(-1e6, 1e8) | st.integers(0, 10**6).map(float)
intervals = st.floats(1e-3, 1e6) | st.integers(1, 3600).map(float) | st.sampled_from([0.1, 0.3])


@example(0.0, 0.1, 0.3)  # 3 * 0.1 is later than 0.3
@example(0.0, 1e-3, 1e9)
@example(1e8, 0.1, 0.0)
@given(anchors, intervals, st.floats(-1e6, 1e9))
def test_the_next_grid_point_is_the_first_one_later(anchor, interval, after):
    """k >= 1 is the smallest index whose grid point is later, found in a few comparisons."""
    Counted.looked_at = 0
    k = grid_index(anchor, Counted(interval), after)
    assert Counted.looked_at <= 8
    assert k >= 1
    assert anchor + k * interval > after
    assert k == 1 or anchor + (k - 1) * interval <= after


@given(anchors, intervals, st.integers(1, 10**6))
def test_a_clock_on_a_grid_point_goes_on_to_the_next(anchor, interval, k):
    """At grid point k the next one is k + 1; just before it, it is k; no point is seen twice."""
    point = anchor + k * interval
    assume(anchor + (k - 1) * interval < point < anchor + (k + 1) * interval)
    assert grid_index(anchor, interval, point) == k + 1
    assert grid_index(anchor, interval, math.nextafter(point, -math.inf)) == k


@given(anchors, st.integers(1, 3600).map(float), st.integers(1, 300))
def test_walking_the_grid_visits_every_point_once(anchor, interval, n):
    """From each point to the next: k = 1, 2, … without a gap or a repetition."""
    visited, at = [], anchor
    for _ in range(n):
        k = grid_index(anchor, interval, at)
        visited.append(k)
        at = anchor + k * interval
    assert visited == list(range(1, n + 1))
