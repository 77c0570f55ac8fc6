"""Waits that were given up, cut off or lost: what they tell of the time an answer takes."""

import numpy as np
import pandas as pd
import pytest
from known_logs import requests, scenario

import asyncsim as sim

pytestmark = pytest.mark.slow

DAY = sim.Poisson("100/day", between=("08:00", "20:00"))
SLOW = sim.OnlineService(sim.exponential("3 days"), lanes=None)


def law_of(fit):
    """Return the law of the only external system."""
    (found,) = fit.systems.values()
    return found.law


def test_waits_that_are_open_when_the_log_ends_count_as_longer():
    """Answers take three days, the log ends after ten: those that came are the quick ones."""
    table = requests(SLOW, days=10)[["SN", "submitted", "completed"]]
    end = table["submitted"].min().normalize() + pd.Timedelta("10 days")
    seen = table.assign(completed=table["completed"].where(table["completed"] < end))
    with pytest.warns(sim.LogWarning, match="not completed"):
        fit = sim.fit(seen)
    law = law_of(fit)
    assert law.low <= 3 * 86400.0 <= law.high
    quick = (seen["completed"] - seen["submitted"]).dt.total_seconds().mean()
    assert quick < 0.8 * law.low
    (how,) = fit.account.loc[fit.account["what"] == "external time", "how"]
    assert f"{len(law.cut)} that were cut off count as longer" in how


def test_lost_answers_do_not_make_the_others_slow():
    """One in fifty is open for days where others take ten minutes: reported, not fitted."""
    table = requests(sim.OnlineService(sim.exponential("10min"), lanes=None), days=10)
    lost = np.random.default_rng(1).random(len(table)) < 0.02
    seen = table.assign(completed=table["completed"].mask(lost))[["SN", "submitted", "completed"]]
    with pytest.warns(sim.LogWarning, match="not completed"):
        fit = sim.fit(seen)
    law = law_of(fit)
    assert law.low <= 600.0 <= law.high
    gaps = fit.unexplained.set_index("what")["amount"]
    left = int(gaps["waits that have not ended"].split()[0])
    assert left + len(law.cut) == lost.sum()
    assert left > 0.9 * lost.sum()


def test_waits_that_were_given_up_count_as_longer():
    """Steps time out after 40 minutes, answers take an hour on average."""
    steps = [sim.AsyncStep("ask", "ledger", timeout="40min", on_timeout="continue")]
    known = scenario(
        sim.OnlineService(sim.exponential("1h"), lanes=None), days=7, steps=steps, arrivals=DAY
    )
    run = sim.simulate(known, sim.Callback(), seed=2)
    assert (run.waits["outcome"] == "timed out").mean() > 0.4
    with pytest.warns(sim.LogWarning, match="ended without completing"):
        law = law_of(sim.fit(run.event_log()))
    assert law.low <= 3600.0 <= law.high
    assert law.times.max() <= 2400.0


def test_people_are_found_again_and_their_log_is_explained():
    """Hours, days, team and time of a task, from when requests came and were done."""
    people = sim.People(12, sim.gamma("15min", "5min"), between=("08:30", "16:30"), days="Mon-Sat")
    fit = sim.fit(requests(people, days=21)[["SN", "submitted", "completed"]])
    (found,) = fit.scenario.systems.values()
    assert (found.team, found.between, found.days) == (12, ("08:30", "16:30"), "Mon-Sat")
    law = law_of(fit)
    assert found.item_time.kind == "gamma"
    assert law.low <= 900.0 <= law.high
    assert fit.check(replications=10, progress=False).table["within"].mean() > 0.9
    account = fit.account.set_index("what")["found"]
    assert account["working hours"] == "08:30 to 16:30, Mon-Sat"
    assert account["lanes"] == "12"


def test_a_service_with_few_lanes_is_found_again():
    """The item time does not include queueing; lanes that cannot be determined are reported."""
    fit = sim.fit(requests(sim.OnlineService(sim.exponential("8min"), lanes=3)))
    (found,) = fit.scenario.systems.values()
    assert found.lanes == 3
    assert law_of(fit).low <= 480.0 <= law_of(fit).high
    many = sim.fit(requests(sim.OnlineService(sim.exponential("8min"), lanes=None)))
    (found,) = many.scenario.systems.values()
    assert found.lanes is None
    assert "lanes" in set(many.unexplained["what"])


def test_a_team_without_a_queue_is_large_enough_for_the_log():
    """No task ever waited for one of 200 people: as many as ever had a task are assumed."""
    team = sim.People(200, sim.exponential("1h"), between=("09:00", "18:00"), days="every day")
    fit = sim.fit(requests(team)[["SN", "submitted", "completed"]])
    (found,) = fit.scenario.systems.values()
    assert found.between == ("09:00", "18:00")
    assert found.team < 200
    assert "lanes" in set(fit.unexplained["what"])
    assert fit.check(replications=10, progress=False).table["within"].mean() > 0.85
