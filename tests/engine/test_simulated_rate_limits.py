"""Callbacks run into the server's rate limit; both engines, held against a count by hand."""

from fractions import Fraction

import pytest
from both_engines import play_both
from hypothesis import given, settings
from hypothesis import strategies as st
from plays import only, play, scenario_of
from thorough import times

import asyncsim as sim
from asyncsim.fast.jit import can_compile
from asyncsim.fast.layout import limit_fields
from asyncsim.model.scenario import changed
from asyncsim.model.server import SlidingWindow, rate_limit

WAIT = [sim.AsyncStep("w", "out")]
BEGIN = 79_200.3
"""An instant that is not a round number; eighths of a second are added to it without rounding."""


def limited(words, arrivals=(0.0,), steps=WAIT, **server):
    """Return a scenario whose server has a limit."""
    scenario = scenario_of(steps, arrivals=arrivals, **server)
    return changed(scenario, {"server.finish_limit": words})


def herd(words, strategy, externals, **server):
    """Return the runs of both engines; waits are armed at once, and complete at `externals`."""
    scenario = limited(words, [BEGIN] * len(externals), **server)
    draws = sim.Draws([BEGIN] * len(externals), external={"w": externals})
    return play_both(scenario, strategy, draws=draws)


def by_hand(words, externals, pauses, delay):
    """Return what every attempt is answered: in fractions, looking for the next one each time."""
    limit, exactly = rate_limit(words), lambda number: Fraction(str(number))
    due = {row: (exactly(done) + exactly(delay), 0) for row, done in enumerate(externals)}
    admitted, found = [], []
    while due:
        row = min(due, key=lambda k: (due[k][0], k))
        now, attempt = due.pop(row)
        if isinstance(limit, SlidingWindow):
            lets_in = sum(t + exactly(limit.seconds) > now for t in admitted) < limit.most
        else:
            level, last = Fraction(limit.size), Fraction(0)
            for t in [*admitted, now]:  # the level follows from those let in alone
                level = min(level + exactly(limit.rate.per_second) * (t - last), limit.size) - 1
                last = t
            lets_in = level >= 0
        found.append((row + 1, attempt + 1, "finished" if lets_in else "rate limited"))
        if lets_in:
            admitted.append(now)
        elif attempt == len(pauses):
            found.append((row + 1, 0, "dead letter"))
        else:
            due[row] = now + exactly(pauses[attempt]) + exactly(delay), attempt + 1
    return found


@settings(deadline=None, max_examples=times(60 if can_compile() else 12))
@given(
    st.sampled_from(
        ["2 refilled 1/s", "1 refilled 0.5/s", "3 refilled 0.1/s", "3 per 10 s", "1 per 1s", "4/3s"]
    ),
    st.lists(st.sampled_from([0.0, 0.125, 0.75, 1.0, 3.0, 10.0]), min_size=1, max_size=12),
    st.lists(st.sampled_from([0.0, 0.125, 0.25, 1.0, 3.0, 9.875]), max_size=6),
    st.sampled_from([0.0, 0.125, 1.0]),
)
def test_every_attempt_is_answered_as_counted_by_hand(words, externals, pauses, delay):
    """Bucket or window, come again by any schedule, at any instant, ties in order of instances."""
    expected = by_hand(words, externals, pauses, delay)
    for run in herd(words, sim.Callback(delay, retries=pauses), externals):
        d = run.deliveries
        instance = d.serial_number.str.partition("_")[0].astype(int)
        assert list(zip(instance, d.attempt, d.outcome, strict=True)) == expected


@pytest.mark.parametrize(("size", "rate", "drained"), [(300, 50, 14.0), (150, 30, 85 / 3)])
def test_a_herd_drains_at_the_rate_of_the_bucket(size, rate, drained):
    """(N - B) / r after the first, and up to one pause of the sender later: FACTS, by a tenth."""
    strategy = sim.Callback(retries=[0.1] * 300)
    for run in herd(f"{size} refilled {rate}/s", strategy, [1.0] * 1000):
        took = run.waits.resumed.max() - run.waits.completed.max()
        assert drained - 1e-6 <= took <= drained + 0.1 + 1e-6


@pytest.mark.parametrize("words", ["300 refilled 50/s", "300 per 60 s"])
def test_without_retries_as_many_get_through_as_the_limit_has(words):
    """The others are dead letters, and their steps wait for ever."""
    for run in herd(words, sim.Callback(), [1.0] * 1000):
        assert run.deliveries.outcome.value_counts().to_dict() == {
            "finished": 300, "rate limited": 700, "dead letter": 700,
        }  # fmt: skip
        assert run.record.open_count == 700
        through = run.waits.outcome == "resumed"
        assert through.tolist() == [True] * 300 + [False] * 700  # in the order of instances


def test_a_refused_callback_costs_a_request_and_nothing_else():
    """Two at once into '1 per 60 s', 2 s of work each: refused at 10 s, sent again 60 s later."""
    for run in herd("1 per 60 s", sim.Callback(retries=[60]), [10.0] * 2, callback_work=2.0):
        refused = only(run.deliveries[run.deliveries.outcome == "rate limited"])
        assert refused[["serial_number", "attempt"]].tolist() == ["2_1", 1]
        assert (refused.sent - BEGIN, refused.arrived - BEGIN) == pytest.approx((10.0, 10.0))
        assert refused.handled != refused.handled
        assert run.waits.latency.tolist() == pytest.approx([2.0, 62.0])
        assert run.waits.deliveries.tolist() == [1, 2]
        spent = run.overhead.set_index("kind")
        columns = ["count", "wasted", "worker_seconds", "requests", "database_operations"]
        assert spent.loc["callback", columns].tolist() == pytest.approx([2, 0, 4.0, 2, 4])
        assert spent.loc["rate limited callback", columns].tolist() == [1, 1, 0.0, 1, 0]


def test_a_refused_copy_is_not_tried_again():
    """The copy is one too many; the callback itself has been handled."""
    strategy = sim.Callback(duplicates=1.0, duplicate_delay=1.0, retries=[60, 60])
    for run in herd("1 per 1h", strategy, [10.0]):
        assert run.deliveries.outcome.tolist() == ["finished", "rate limited"]


def test_a_copy_may_be_let_in_where_the_callback_was_refused():
    """It comes as the window opens and resumes the step; the retry is a duplicate then."""
    strategy = sim.Callback(duplicates=1.0, duplicate_delay=10.0, retries=[30])
    first, second = 0.0, 1.0
    for run in herd("1 per 10 s", strategy, [first, second]):
        found = run.deliveries[["serial_number", "attempt", "outcome"]].values.tolist()
        assert found == [
            ["1_1", 1, "finished"],
            ["2_1", 1, "rate limited"],
            ["1_1", 1, "duplicate, rejected"],  # its copy, 10 s later, has the window to itself
            ["2_1", 1, "rate limited"],
            ["2_1", 2, "finished"],
            ["2_1", 2, "duplicate, rejected"],
        ]


def test_the_limit_stands_in_front_of_every_answer():
    """An early callback takes its place in the window; what comes after it is refused unread."""
    step = [sim.AsyncStep("w", "out", arm_delay=5.0)]
    scenario = limited("1 per 10 s", steps=step)
    run = play(sim.Callback(retries=[1, 9]), scenario, external={"w": 1.0})
    found = run.deliveries.outcome.tolist()
    assert found == ["early, rejected", "rate limited", "finished"]
    assert run.deliveries.arrived.tolist() == [1.0, 2.0, 11.0]


def test_checks_meet_no_limit():
    """It is one on finishes: polling goes on as before."""
    with_limit, without = (
        play(sim.Polling("1min"), limited(words, [0.0] * 5), external={"w": 100.0})
        for words in ("1 per 1h", None)
    )
    assert with_limit.waits.equals(without.waits)


def test_a_safety_poll_rescues_a_callback_that_was_refused():
    """At the next grid point after the refusal."""
    strategy = sim.CallbackWithSafetyPoll(every=60)
    for run in herd("1 per 1h", strategy, [10.0, 10.0]):
        assert run.waits.latency.tolist() == pytest.approx([0.0, 50.0])


def test_a_window_wider_than_all_deliveries_needs_no_memory():
    """A billion places would be 8 GB."""
    assert limit_fields(rate_limit("1000000000 per 1h"), 20) == {}
    (_, compiled) = herd("1000000000 per 1h", sim.Callback(), [1.0] * 3)
    assert compiled.deliveries.outcome.tolist() == ["finished"] * 3
