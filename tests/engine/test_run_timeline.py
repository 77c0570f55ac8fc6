"""The timeline of one wait, from a run that is played again."""

import math

import pytest
from hypothesis import HealthCheck, given, settings
from plays import only, play, scenario_of, wait_for
from scenarios import scenarios, strategies
from thorough import times

import asyncsim as sim
from asyncsim.engine.run import TIMELINE_COLUMNS, wait_timeline
from asyncsim.model.scenario import changed


def life(run, serial_number="1_1"):
    return wait_timeline(run.scenario, run.strategy, run.draws, serial_number)


def events(table):
    return [(e.event, e.start, e.end, e.text) for e in table.itertuples()]


def test_the_life_under_polling_shows_every_check():
    """Called at 5 s, armed at 7 s, asked at 67 and 127 s for 1 s each, done in between."""
    run = wait_for(
        sim.Polling(60), 100.0, arrivals=(5.0,), call_work=2.0, server={"poll_work": 1.0}
    )
    assert events(life(run)) == [
        ("arrived", 5.0, 5.0, ""),
        ("called", 5.0, 5.0, ""),
        ("armed", 7.0, 7.0, ""),
        ("check", 67.0, 68.0, "not yet"),
        ("completed", 107.0, 107.0, ""),
        ("check", 127.0, 128.0, "done"),
        ("resumed", 128.0, 128.0, ""),
    ]


def test_the_life_under_a_callback_shows_every_delivery():
    """Sent at 10 s and refused at 12 s, sent again at 17 s, handled at 19 s."""
    run = wait_for(sim.Callback("2s", retries=["5s"]), 10.0, arm_delay=15.0)
    assert events(life(run))[2:] == [
        ("completed", 10.0, 10.0, ""),
        ("delivery", 10.0, 12.0, "early, rejected"),
        ("armed", 15.0, 15.0, ""),
        ("delivery", 17.0, 19.0, "finished"),
        ("resumed", 19.0, 19.0, ""),
    ]


def test_lost_deliveries_and_the_dead_letter_are_told_apart():
    """A lost attempt is lost, a sender who gives up leaves a dead letter."""
    run = wait_for(sim.Callback(loss=1.0), 10.0)
    found = [(e, text) for e, _, _, text in events(life(run)) if e == "delivery"]
    assert found == [("delivery", "lost"), ("delivery", "dead letter")]
    assert life(run).event.iloc[-1] == "waiting"


def test_a_delivery_that_the_rate_limit_refuses_ends_where_it_arrived():
    """The second of two is refused at 12 s, and handled at 74 s when it comes again."""
    scenario = scenario_of([sim.AsyncStep("w", "out")], arrivals=(0.0, 0.0))
    limited = changed(scenario, {"server.finish_limit": "1 per 60 s"})
    run = play(sim.Callback("2s", retries=["1min"]), limited, external={"w": 10.0})
    assert events(life(run, "2_1"))[-3:] == [
        ("delivery", 10.0, 12.0, "rate limited"),
        ("delivery", 72.0, 74.0, "finished"),
        ("resumed", 74.0, 74.0, ""),
    ]


def test_held_lines_are_checks_that_last():
    """Long polling holds 30 s twice without result and a third time until 70 s."""
    found = [e for e in events(life(wait_for(sim.LongPolling(30), 70.0))) if e[0] == "check"]
    assert found == [
        ("check", 0.0, 30.0, "not yet"),
        ("check", 30.0, 60.0, "not yet"),
        ("check", 60.0, 70.0, "done"),
    ]


@pytest.mark.parametrize(
    ("strategy", "ending"),
    [(sim.Callback(), "timed out"), (sim.Polling(10, limit=2), "gave up")],
)
def test_other_endings_have_their_own_words(strategy, ending):
    """A wait that timed out or was given up says so."""
    assert ending in set(life(wait_for(strategy, 100.0, timeout=50.0)).event)


def test_an_unknown_number_has_no_life():
    """The table is empty, with its columns."""
    table = life(wait_for(sim.Callback(), 10.0), "5_31")
    assert table.empty
    assert list(table.columns) == TIMELINE_COLUMNS


class Own(sim.Strategy):
    """A strategy of a user, which looks at everything a step offers."""

    def wait(self, step):
        yield step.until(step.armed + 10.0 + step.chance("late"))
        while not (yield from step.check()):
            yield step.after(10.0)


def test_a_strategy_of_ones_own_can_be_followed():
    """Its checks are noted, at the instants of the run itself."""
    run = play(Own(), scenario_of([sim.AsyncStep("w", "out")]), external={"w": 25.0})
    table = life(run)
    assert (table.event == "check").sum() == 3
    assert table.end.max() == only(run.waits).resumed


@settings(max_examples=times(15), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(scenarios(), strategies())
def test_taking_notes_changes_nothing(scenario, strategy):
    """The wait that is followed arms, completes, closes and is checked as in the run itself."""
    run = play(strategy, scenario)
    for wait in run.waits.iloc[:2].itertuples():
        table = wait_timeline(scenario, strategy, run.draws, wait.serial_number)
        at = {e.event: e.start for e in table.itertuples()}
        assert at["armed"] == wait.armed
        assert at["completed"] == wait.completed or math.isnan(wait.completed)
        assert at[wait.outcome] == wait.closed or wait.outcome == "waiting"
        checks = table[table.event == "check"]
        assert len(checks) == wait.checks
        assert (checks.text == "not yet").sum() == wait.wasted_checks
