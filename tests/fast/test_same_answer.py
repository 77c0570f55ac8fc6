"""Two engines, one meaning: on random scenarios the compiled engine gives SimPy's answer.

Every column of `waits`, `steps`, `instances` and `deliveries` is compared instance by instance:
instants within a billionth of a second, everything else exactly.
"""

import numpy as np
import pandas as pd
import pytest
import scenarios
from both_engines import play_both
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from thorough import times

from asyncsim.fast.jit import can_compile

pytestmark = pytest.mark.slow

WITHIN = 1e-9
TABLES = ("waits", "steps", "instances", "deliveries")


def assert_same(reference, compiled):
    """Compare all that two runs left behind."""
    for name in TABLES:
        assert_same_table(getattr(reference, name), getattr(compiled, name), name)
    ours, theirs = compiled.record, reference.record
    assert (ours.engine, theirs.engine) == ("compiled", "simpy")
    assert (ours.longest_queue, ours.open_count) == (theirs.longest_queue, theirs.open_count)
    for what in ("end", "open_seconds", "connection_seconds", "store_seconds"):
        np.testing.assert_allclose(getattr(ours, what), getattr(theirs, what), 1e-9, WITHIN, what)
    # Added up in another order: floats of a run of months are good for a millionth
    pd.testing.assert_frame_equal(reference.server, compiled.server, rtol=1e-9, atol=1e-6)
    pd.testing.assert_frame_equal(reference.overhead, compiled.overhead, rtol=1e-6)


def assert_same_table(expected, found, name):
    """Compare two tables: instants within a billionth of a second, all else exactly."""
    assert list(found.columns) == list(expected.columns), name
    assert len(found) == len(expected), name
    for column in expected:
        a, b = expected[column], found[column]
        if a.dtype.kind == "f":
            np.testing.assert_allclose(b, a, rtol=0.0, atol=WITHIN, err_msg=f"{name}.{column}")
        elif a.dtype.kind == "M":
            off = (a - b).abs() > pd.Timedelta(1, "us")
            assert not off.any(), f"{name}.{column}"
        else:
            pd.testing.assert_series_equal(b, a, obj=f"{name}.{column}")


stops = st.none() | st.sampled_from([1.0, 3600.0, 22 * 3600.0, 86400.0, 100_000.5])
thorough = settings(
    deadline=None,
    max_examples=times(90 if can_compile() else 12),
    suppress_health_check=list(HealthCheck),
)


@thorough
@given(scenarios.scenarios(), scenarios.strategies(), stops)
def test_both_engines_agree_instance_by_instance(scenario, strategy, until):
    """Over all built-in parts, idle or busy, ties included, stopped or not."""
    assert_same(*play_both(scenario, strategy, until))


@settings(thorough, max_examples=times(50 if can_compile() else 8))
@given(scenarios.mixtures(), stops)
def test_both_engines_agree_on_a_strategy_for_each_step(scenario_and_strategy, until):
    """Schedules, held lines, free checks and callbacks share queues and workers."""
    assert_same(*play_both(*scenario_and_strategy, until))


@settings(thorough, max_examples=times(30 if can_compile() else 8))
@given(scenarios.scenarios(deadlines=True), scenarios.strategies(), stops)
def test_both_engines_agree_on_deadlines(scenario, strategy, until):
    """Of steps, of instances and by the clock, at once or by a sweep; work goes on or not."""
    assert_same(*play_both(scenario, strategy, until))


@settings(thorough, max_examples=times(60 if can_compile() else 8))
@given(
    scenarios.overloads() | scenarios.overloads(least=30),
    st.sampled_from([1000.0, 7200.5, 86400.0]),
)
def test_both_engines_agree_under_overload(scenario_and_strategy, until):
    """Checks queue for hours, fall off their grid, and are picked up long after they were due."""
    assert_same(*play_both(*scenario_and_strategy, until))


@settings(thorough, max_examples=times(40 if can_compile() else 6))
@given(scenarios.herds(), stops)
def test_both_engines_agree_on_who_is_let_in(scenario_and_strategy, until):
    """Callbacks come together into a rate limit, are refused, and come again."""
    assert_same(*play_both(*scenario_and_strategy, until))


@settings(thorough, max_examples=times(60 if can_compile() else 12))
@given(scenarios.breakdowns(), stops)
def test_both_engines_agree_on_outages_and_senders(scenario_and_strategy, until):
    """Endpoint, workers, poller and systems are down; queues block, endpoints are switched off."""
    assert_same(*play_both(*scenario_and_strategy, until))
