"""A session played again gives the same tables."""

import pandas as pd
import pytest

import asyncsim as sim
from asyncsim.live.twins import StrategyTwins

pytestmark = pytest.mark.slow

SCENARIO = sim.Scenario.load("data/person.toml")
TABLES = ("waits", "steps", "instances", "deliveries", "server", "overhead")


@pytest.fixture
def session(tmp_path):
    """A session in which people have taken part in every way."""
    session = sim.live(
        SCENARIO, against=sim.Polling("1h"), store=tmp_path / "w.db", hold="clerks", seed=4
    )
    session.run_until("12:00")
    numbers = list(session.waiting["serial_number"])
    session.finish(numbers[0], {"ok": True})
    session.finish(numbers[0], strict=False)
    session.start({"customer": "Ann"})
    session.run_until("14:00")
    session.complete(numbers[1], {"ok": False})
    session.retry(numbers[2])
    session.retry(numbers[3], call=False)
    session.run_until("2026-04-03 12:00")
    session.finish(session.waiting["serial_number"].iloc[-1])
    session.run_for("1h")
    yield session
    session.close()


def assert_same(session, again):
    """Compare all tables of all lanes, and what everybody was told."""
    for label in session.strategies:
        expected, found = session.so_far(label), again.so_far(label)
        for name in TABLES:
            pd.testing.assert_frame_equal(getattr(found, name), getattr(expected, name), obj=name)
    pd.testing.assert_frame_equal(again.answers, session.answers)
    pd.testing.assert_frame_equal(again.waiting, session.waiting)


def test_step_by_step_it_comes_to_the_same_tables(session, tmp_path):
    """From the store itself, and from a copy, also while the session is still open."""
    session.backup(tmp_path / "copy.db")
    for path in (tmp_path / "w.db", tmp_path / "copy.db"):
        again = sim.replay(path)
        steps = 0
        while again.step():
            steps += 1
        assert steps > 100
        assert again.over
        assert again.now == session.now
        assert_same(session, again)


def test_it_plays_for_so_long_if_it_is_told_how_long(session, tmp_path):
    """By default all that was; and it says what it is."""
    again = sim.replay(tmp_path / "w.db")
    again.run_to_end(at_most="1h")
    assert again.now == 3600.0
    again.run_to_end()
    assert again.now == session.now
    with pytest.raises(sim.ScenarioError, match="at_most must"):
        again.run_to_end(at_most="long")
    assert repr(again).startswith("Replay(")
    assert repr(session).startswith("Session(")


def test_it_stops_anywhere(session, tmp_path):
    """In the midst of it, it shows what the session showed then."""
    again = sim.replay(tmp_path / "w.db")
    again.run_until("13:00")
    assert list(again.answers["kind"]) == ["finish", "finish", "start"]
    assert again.waiting_count < session.instances_count
    again.run_to_end()
    assert_same(session, again)


def test_other_strategies_can_be_set_beside_it(session, tmp_path):
    """What if the same people had met another interval?"""
    again = sim.replay(tmp_path / "w.db", against=sim.Polling("5min"))
    again.run_to_end()
    expected = session.so_far().waits.set_index("serial_number")["resumed"]
    found = again.so_far().waits.set_index("serial_number")["resumed"]
    pd.testing.assert_series_equal(found, expected)
    quick = again.so_far("polling 5 min").summary().loc[0, "mean_latency"]
    assert quick < session.so_far("polling 1 h").summary().loc[0, "mean_latency"]


def test_nobody_can_take_part_in_it(session, tmp_path):
    """It says how the session itself is gone on with."""
    again = sim.replay(tmp_path / "w.db")
    again.run_until("10:00")
    for act in (lambda: again.finish("1_2"), again.start):
        with pytest.raises(sim.EngineError, match="not for a replay"):
            act()


def test_a_file_that_is_not_there_is_named(tmp_path):
    """And none is made."""
    with pytest.raises(sim.ScenarioError, match="no such file"):
        sim.replay(tmp_path / "nothing.db")
    assert not list(tmp_path.iterdir())


def test_a_journal_in_which_a_retry_has_no_number_is_still_played(tmp_path, monkeypatch):
    """Older journals hold "done" as the answer to a retry."""
    retry = StrategyTwins._retry
    with monkeypatch.context() as older:
        older.setattr(StrategyTwins, "_retry", lambda *asked: retry(*asked) and "done")
        with sim.live(SCENARIO, store=tmp_path / "old.db", hold="clerks", seed=4) as session:
            session.run_until("12:00")
            session.retry(session.waiting["serial_number"].iloc[0])
            waiting = session.waiting
    again = sim.replay(tmp_path / "old.db")
    again.run_to_end()
    with again, sim.live(store=tmp_path / "old.db") as session:
        pd.testing.assert_frame_equal(session.waiting, waiting)
        pd.testing.assert_frame_equal(again.waiting, waiting)
