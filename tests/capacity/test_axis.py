"""Searches along a field find what trying everything would."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

import asyncsim as sim
from asyncsim.capacity.search import Axis, boundary


@given(
    st.integers(1, 40),
    st.integers(0, 60),
    st.integers(-5, 70),
    st.integers(0, 80),
    st.integers(0, 6),
    st.booleans(),
)
def test_the_last_whole_number_that_meets_is_found(least, width, edge, start, stride, low):
    """From any start, with any first step, good at either end; None where nothing meets."""
    axis = Axis("field", "whole number", least, least + width)
    values = range(least, least + width + 1)

    def meets(x):
        assert x in values
        return x <= edge if low else x >= edge

    good = [x for x in values if meets(x)]
    expected = (max(good) if low else min(good)) if good else None
    bad = [x for x in values if not meets(x)]
    beyond = (min(bad) if low else max(bad)) if bad else None
    found = boundary(meets, axis, start, "low" if low else "high", stride)
    assert found == (expected, beyond)


@given(st.floats(0.01, 100), st.floats(1.5, 1e5), st.floats(0, 1), st.floats(0, 1), st.booleans())
def test_a_threshold_on_a_scale_of_ratios_is_found_to_the_tolerance(least, ratio, edge, start, low):
    """Not beyond it, and not farther from it than the tolerance and the digits kept."""
    axis = Axis("field", "duration", least, least * ratio)
    edge = least * ratio**edge
    found, beyond = boundary(
        lambda x: x <= edge if low else x >= edge,
        axis,
        least * ratio**start,
        "low" if low else "high",
    )
    assert found == pytest.approx(edge, rel=0.012)
    assert found <= edge if low else found >= edge
    if beyond is not None:
        assert beyond > edge if low else beyond < edge
        assert beyond == pytest.approx(edge, rel=0.012)


def test_on_an_axis_from_zero_small_values_are_told_apart():
    """A threshold of a thousandth is not called zero."""
    axis = Axis.between("strategy.loss", (0, 1))
    found, beyond = boundary(lambda x: x <= 0.0012, axis, 0.5, "low")
    assert 0 < found <= 0.0012 < beyond < 0.002


def test_values_of_one_answer_are_said_in_one_unit():
    """Not 58 s beside 1.02 min."""
    axis = Axis.between("strategy.interval", ("1s", "1h"))
    assert axis.shown_like(61.0, 58.0) == "61 s"
    assert axis.shown_like(58.0, 61.0) == "0.9667 min"


def test_few_values_are_tried():
    """A search over a thousand whole numbers asks about twenty times, not a thousand."""
    tried = []
    axis = Axis("field", "whole number", 1, 1024)
    boundary(lambda x: tried.append(x) or x >= 700, axis, 4, "high")
    assert len(set(tried)) <= 20


@pytest.mark.parametrize("between", [("1h", "1min"), (1, "1h"), ("a", "b"), (1,), None, (5, 5)])
def test_a_range_that_is_none_is_refused(between):
    """With an example of what would be right."""
    with pytest.raises(sim.ScenarioError, match=r"between must be two values \(low, high\)"):
        Axis.between("server.workers", between)


def test_values_are_written_as_a_scenario_takes_them_and_shown_as_people_say_them():
    """Rates keep their unit, durations are seconds, whole numbers are whole."""
    rate = Axis.between("arrivals.rate", ("50/h", "5000/h"))
    assert (rate.written(200.0), rate.shown(1200.0)) == ("200.0/h", "1,200/h")
    interval = Axis.between("strategy.interval", ("1min", "1h"))
    assert (interval.written(90.0), interval.shown(90.0)) == (90.0, "1.5 min")
    workers = Axis.between("server.workers", (1, 64))
    assert (workers.written(3.0), type(workers.written(3.0))) == (3, int)
    assert Axis.between("strategy.loss", (0, 0.5)).scale == "number"
