"""Events happen at exact instants, and events of one instant in the written order."""

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncsim.engine.environment import Environment, EventKind, TrackingEnvironment, order
from asyncsim.errors import EngineError

kinds = st.sampled_from(list(EventKind))
rows = st.integers(0, 2**31)
steps = st.integers(0, 2**15)


@given(st.lists(st.floats(0, 1e9), min_size=1, max_size=20))
def test_events_happen_at_the_very_float_they_were_scheduled_at(instants):
    """Going from event to event the clock shows each instant to the last bit, in order."""
    clock, seen = Environment(), []
    for instant in instants:
        clock.at(instant, order(EventKind.SYSTEM)).callbacks.append(
            lambda _: seen.append(clock.now)
        )
    clock.run()
    assert seen == sorted(instants)


def test_a_grid_point_is_met_exactly_where_adding_up_would_miss_it():
    """0.1 + k·0.1 scheduled from event to event is met; a sum of delays ends elsewhere."""
    clock, seen = Environment(), []
    grid = [0.1 + k * 0.1 for k in range(1, 50)]

    def walk():
        for point in grid:
            yield clock.at(point, order(EventKind.CHECK_DUE))
            seen.append(clock.now)

    clock.process(walk())
    clock.run()
    assert seen == grid
    assert list(itertools.accumulate([0.1] * 50))[1:] != grid


@given(st.lists(st.tuples(kinds, rows, steps), min_size=2, max_size=12, unique=True))
def test_ties_are_broken_by_kind_then_instance_then_step(entries):
    """Whatever the order of scheduling, events of one instant happen sorted by their key."""
    clock, seen = Environment(), []
    for entry in entries:
        event = clock.at(5.0, order(*entry))
        event.callbacks.append(lambda _, entry=entry: seen.append(entry))
    clock.run()
    assert seen == sorted(entries)


def test_the_kinds_of_one_instant_come_in_the_written_order():
    """Work ends before systems act, finishes before arrivals, time-outs after every check."""
    written = [
        EventKind.WORK_ENDED,
        EventKind.ARMING,
        EventKind.SYSTEM,
        EventKind.CALLBACK_HANDLED,
        EventKind.CHECK_ENDED,
        EventKind.ARRIVAL,
        EventKind.DELIVERY,
        EventKind.CHECK_DUE,
        EventKind.TIMEOUT,
    ]
    assert [kind for kind in sorted(EventKind) if kind in written] == written


def test_an_event_in_the_past_happens_now():
    """Scheduled at 3 s while the clock shows 10 s, an event happens at 10 s."""
    clock, seen = Environment(), []

    def walk():
        yield clock.at(10.0, order(EventKind.SYSTEM))
        yield clock.at(3.0, order(EventKind.SYSTEM))
        seen.append(clock.now)

    clock.process(walk())
    clock.run()
    assert seen == [10.0]


def test_soon_comes_before_everything_else_of_the_instant():
    """What is done `soon` overtakes every kind of event, though scheduled last."""
    clock, seen = Environment(), []
    for kind in EventKind:
        clock.at(0.0, order(kind)).callbacks.append(lambda _, kind=kind: seen.append(kind))
    clock.soon().callbacks.append(lambda _: seen.append("soon"))
    clock.run()
    assert seen == ["soon", *sorted(EventKind)]


@pytest.mark.parametrize("instant", [math.nan, math.inf, -math.inf])
def test_an_instant_that_is_no_number_is_refused(instant):
    """NaN would corrupt the order of all other events, and nothing happens after infinity."""
    with pytest.raises(EngineError, match=f"finite.*got {instant}"):
        Environment().at(instant, order(EventKind.SYSTEM))


@given(st.floats(0.01, 1e6), st.floats(0.01, 1e6))
def test_stopping_comes_before_all_events_of_that_instant(first, more):
    """`until` is exclusive to the last bit, also where it is reached in two goes."""
    then = first + more
    clock, seen = Environment(), []
    clock.at(then, order(EventKind.WORK_ENDED)).callbacks.append(lambda _: seen.append(clock.now))
    if first < then:
        clock.play(first)
        assert clock.now == first
    clock.play(then)
    assert (clock.now, seen) == (then, [])
    clock.run()
    assert seen == [then]


def test_the_clock_knows_how_far_the_present_instant_has_come():
    """The largest key so far counts, also when an event of a smaller key is put in late."""
    clock, keys = TrackingEnvironment(), []

    def late_comer():
        keys.append(clock.reached)
        yield clock.at(1.0, order(EventKind.SYSTEM))
        keys.append(clock.reached)
        yield clock.at(2.0, order(EventKind.SYSTEM))
        keys.append(clock.reached)

    event = clock.at(1.0, order(EventKind.TIMEOUT, 7, 3))
    event.callbacks.append(lambda _: clock.process(late_comer()))
    clock.run()
    assert keys == [order(EventKind.TIMEOUT, 7, 3)] * 2 + [order(EventKind.SYSTEM)]
