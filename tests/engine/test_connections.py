"""Connections held by long polling: each counts once, however it ends, and while it is open."""

import pytest
from plays import wait_for

import asyncsim as sim

HOLD = sim.LongPolling("30s")


@pytest.mark.parametrize(
    ("external", "until", "held"),
    [
        (10.0, None, 10.0),  # completed while held
        (70.0, None, 70.0),  # two connections ran out, the third brought the answer
        (70.0, 45.0, 45.0),  # stopped with the second connection open
        (70.0, 30.5, 30.5),  # stopped half a second into it
    ],
)
def test_a_connection_counts_for_as_long_as_it_was_held(external, until, held):
    """On an idle server free of charge, a connection is open from arming to completion or stop."""
    assert wait_for(HOLD, external, until=until).record.connection_seconds == held


def test_a_time_out_cuts_the_connection():
    """The wait is over at 40 s; no connection is held after that."""
    run = wait_for(HOLD, 100.0, timeout=40.0)
    assert run.record.connection_seconds == 40.0


def test_open_waits_of_a_stopped_run_add_up():
    """Stopped within a bin: the means over the bins are the time that waits were open."""
    run = wait_for(sim.Callback(), 1000.0, arrivals=(0.0, 50.0), until=330.0)
    total = run.open_waits["mean_open"].sum() * run.record.resolution
    assert total == pytest.approx(330.0 + 280.0)
    assert total == pytest.approx(run.record.open_seconds)
