"""Searches along a field find what a scan of all values would, and show their progress."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

import asyncsim as sim
from asyncsim.capacity.search import SearchSpace, boundary
from asyncsim.experiment import replications as module


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
    space = SearchSpace("field", "whole number", least, least + width)
    values = range(least, least + width + 1)

    def meets(x):
        assert x in values
        return x <= edge if low else x >= edge

    good = [x for x in values if meets(x)]
    expected = (max(good) if low else min(good)) if good else None
    bad = [x for x in values if not meets(x)]
    beyond = (min(bad) if low else max(bad)) if bad else None
    found = boundary(meets, space, start, "low" if low else "high", stride)
    assert found == (expected, beyond)


@given(st.floats(0.01, 100), st.floats(1.5, 1e5), st.floats(0, 1), st.floats(0, 1), st.booleans())
def test_a_threshold_on_a_scale_of_ratios_is_found_to_the_tolerance(least, ratio, edge, start, low):
    """Not beyond it, and not farther from it than the tolerance and the digits kept."""
    space = SearchSpace("field", "duration", least, least * ratio)
    edge = least * ratio**edge
    found, beyond = boundary(
        lambda x: x <= edge if low else x >= edge,
        space,
        least * ratio**start,
        "low" if low else "high",
    )
    assert found == pytest.approx(edge, rel=0.012)
    assert found <= edge if low else found >= edge
    if beyond is not None:
        assert beyond > edge if low else beyond < edge
        assert beyond == pytest.approx(edge, rel=0.012)


def test_in_a_space_from_zero_small_values_are_distinct():
    """A threshold of a thousandth does not become zero."""
    space = SearchSpace.between("strategy.loss", (0, 1))
    found, beyond = boundary(lambda x: x <= 0.0012, space, 0.5, "low")
    assert 0 < found <= 0.0012 < beyond < 0.002


def test_values_of_one_answer_have_one_unit():
    """Not 58 s beside 1.02 min."""
    space = SearchSpace.between("strategy.interval", ("1s", "1h"))
    assert space.text(61.0, like=58.0) == "61 s"
    assert space.text(58.0, like=61.0) == "0.9667 min"


def test_few_values_are_tried():
    """A search over a thousand whole numbers tries about twenty, not a thousand."""
    tried = []
    space = SearchSpace("field", "whole number", 1, 1024)
    boundary(lambda x: tried.append(x) or x >= 700, space, 4, "high")
    assert len(set(tried)) <= 20


@pytest.mark.parametrize("between", [("1h", "1min"), (1, "1h"), ("a", "b"), (1,), None, (5, 5)])
def test_an_invalid_range_raises(between):
    """The message has an example of a valid range."""
    with pytest.raises(sim.ScenarioError, match=r"between must be two values \(low, high\)"):
        SearchSpace.between("server.workers", between)


def test_values_are_written_as_a_scenario_takes_them_and_shown_with_units():
    """Rates keep their unit, durations are seconds, whole numbers are whole."""
    rate = SearchSpace.between("arrivals.rate", ("50/h", "5000/h"))
    assert (rate.written(200.0), rate.text(1200.0)) == ("200.0/h", "1,200/h")
    interval = SearchSpace.between("strategy.interval", ("1min", "1h"))
    assert (interval.written(90.0), interval.text(90.0)) == (90.0, "1.5 min")
    workers = SearchSpace.between("server.workers", (1, 64))
    assert (workers.written(3.0), type(workers.written(3.0))) == (3, int)
    assert SearchSpace.between("strategy.loss", (0, 0.5)).scale == "number"


class FakeBar:
    """Records the calls to a progress bar."""

    def __init__(self, shown, **options):
        self.options, self.ends, self.words, self.n = options, [], [], 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.left = self.n

    def reset(self, total):
        assert self.n in (0, *self.ends[-1:])  # all runs of the value before are counted
        self.ends.append(total)
        self.n = 0

    def set_description(self, words):
        self.words.append(words)

    def update(self, runs):
        self.n += runs


def test_the_bar_counts_the_values_and_has_the_runs_of_each(monkeypatch):
    """The number of values is not known ahead; each has three runs, and the check of the length."""
    bars = []

    def kept(shown, **options):
        bars.append(FakeBar(shown, **options))
        return bars[-1]

    monkeypatch.setattr(module, "progress_bar", kept)
    scenario = sim.Scenario(
        name="herd",
        process=sim.Process("p", [sim.AsyncStep("post", "ledger")]),
        systems={"ledger": sim.NightlyBatch("22:00", "1ms", results="at end")},
        server=sim.WorkflowServer(4, callback_work="1s"),
        arrivals=sim.UniformArrivals(60, between=("08:00", "20:00")),
    )
    answer = sim.fewest_workers(scenario, sim.Callback(), "max_latency <= 10s", replications=3)
    (bar,) = bars
    assert bar.options == {"total": None, "unit": "run", "desc": "fewest workers"}
    assert bar.ends == [3] * len(answer.table)
    assert bar.left == 3
    assert bar.words[0] == "fewest workers: value no. 1, 4"
    assert bar.words[-1].startswith(f"fewest workers: value no. {len(answer.table)}, ")
