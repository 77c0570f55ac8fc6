"""Default dates and clocks without seconds are reported, and do not distort the fit."""

import datetime

import numpy as np
import pandas as pd
import pytest
from known_logs import requests, scenario

import asyncsim as sim

pytestmark = pytest.mark.slow

BATCH = sim.NightlyBatch("22:00", sim.exponential("2s"))
EPOCH = pd.Timestamp("1970-01-01")


@pytest.fixture(scope="module")
def table():
    """Return two weeks of requests to a nightly batch, about 250 a day."""
    return requests(BATCH)[["SN", "submitted", "completed"]]


@pytest.fixture(scope="module")
def clean_fit(table):
    """Return the fit to all requests but one."""
    return sim.fit(table.drop(index=100))


@pytest.fixture(scope="module")
def event_log():
    """Return an event log whose dates are text."""
    run = sim.simulate(scenario(BATCH), sim.Callback(), seed=1)
    return run.event_log().astype({"time:timestamp": str})


@pytest.fixture(scope="module")
def start(event_log):
    """Return the day on which the scenario fitted to the event log begins."""
    return sim.fit(event_log).scenario.start


def floored(table, to):
    """Return a log whose clock shows whole minutes or hours."""
    times = table[["submitted", "completed"]].apply(lambda column: column.dt.floor(to))
    return table.assign(**times)


def gaps_of(fit):
    return dict(zip(fit.unexplained["what"], fit.unexplained["amount"], strict=True))


def test_a_clock_of_minutes_makes_no_herd(table):
    """Thirty completions show the same minute; they did not come at the same instant."""
    fit = sim.fit(floored(table, "min"))
    batch = fit.scenario.systems["outside system"]
    assert (batch.start, batch.results) == ("22:00", "per item")
    assert batch.item_time.mean == pytest.approx(2.0, rel=0.15)  # ± a minute in eight
    assert gaps_of(fit)["resolution of its timestamps"] == "1 min"
    assert "law of the item time" in gaps_of(fit)


@pytest.mark.parametrize("to", ["ns", "min"])
def test_results_at_the_end_are_seen_by_a_clock_of_minutes_as_well(to):
    """Then whole nights show one instant."""
    log = requests(sim.NightlyBatch("22:00", "2s", results="at end"))
    fit = sim.fit(floored(log[["SN", "submitted", "completed"]], to))
    assert fit.scenario.systems["outside system"].results == "at end"


def test_a_fine_clock_is_no_gap(table):
    """Nor is one of whole seconds, by which hours are waited for."""
    assert "resolution of its timestamps" not in gaps_of(sim.fit(table))
    assert "resolution of its timestamps" not in gaps_of(sim.fit(floored(table, "s")))


def test_dates_without_a_time_are_refused(table):
    """Every wait would be of whole days."""
    dates = table.assign(submitted=table["submitted"].dt.date, completed=table["completed"].dt.date)
    assert isinstance(dates["submitted"].iloc[0], datetime.date)
    with pytest.raises(sim.ScenarioError, match="dates without a time of day"):
        sim.fit(dates)


@pytest.mark.parametrize(
    ("column", "date", "message", "used"),
    [
        ("submitted", "1970-01-01 00:00:00", "dated far from all others, such as 1970-01", "no"),
        ("completed", "2099-12-31 00:00:00", "goes on far from all other dates", "yes"),
        ("submitted", "1677-09-21 00:00:00.25", "is not of the years 1700 to 2200", "no"),
        ("submitted", "0001-01-01 00:00:00", "is not of the years 1700 to 2200", "no"),
        ("submitted", "0001-01-01 00:00:00.5", "is not of the years 1700 to 2200", "no"),
        ("completed", "2262-04-12 00:00:00", "is not of the years 1700 to 2200", "yes"),
        ("completed", "9999-12-31 00:00:00", "is not of the years 1700 to 2200", "yes"),
        ("completed", "9999-12-30 12:00:00.5", "is not of the years 1700 to 2200", "yes"),
    ],
)
def test_a_default_date_is_told_and_moves_nothing(table, clean_fit, column, date, message, used):
    """One row of three thousand; without it the fit is the same but for that row."""
    texts = table.astype(str)
    texts.loc[100, column] = date
    with pytest.warns(sim.LogWarning, match=message):
        fit = sim.fit(texts)
    reported = fit.problems.iloc[-1]  # an early one is out of order as well
    assert (reported["rows"], reported["used"], reported["first"]) == (1, used, "row 100")
    assert fit.scenario.start == clean_fit.scenario.start
    assert fit.scenario.length == clean_fit.scenario.length
    ours, theirs = (one.scenario.systems["outside system"] for one in (fit, clean_fit))
    assert (ours.start, ours.failure, ours.skip) == (theirs.start, theirs.failure, theirs.skip)
    assert len(str(fit)) < 1.5 * len(str(clean_fit))


@pytest.mark.parametrize("moment", ["0001-01-01 00:00:00.5", "1677-09-21 00:00:00.25"])
@pytest.mark.parametrize("place", [0, 300])
def test_a_default_date_in_an_event_log_moves_nothing(event_log, start, moment, place):
    """One event of thousands; the scenario begins on the same day."""
    log = event_log.copy()
    log.loc[place, "time:timestamp"] = moment
    with pytest.warns(sim.LogWarning, match="is not a timestamp: 1"):
        fit = sim.fit(log)
    assert fit.scenario.start == start


@pytest.mark.filterwarnings("ignore::asyncsim.LogWarning")
@pytest.mark.parametrize("date", ["1750-01-01 00:00:00.5", "1970-09-21", "2199-12-31 12:00:00.5"])
def test_a_default_date_of_a_short_log_is_an_error_by_name(table, date):
    """One row of five is not rare; a period leaves it out."""
    texts = table[:5].astype(str)
    texts.loc[0, ["submitted", "completed"]] = date
    with pytest.raises(sim.ScenarioError, match=rf"arrivals are from .*{date[:10]}.*: mend dates"):
        sim.fit(texts)


def test_a_log_that_paused_for_months_is_no_damage(table):
    """Two weeks in spring and two in autumn: neither is rare."""
    later = table.assign(
        SN=[f"{k}_9" for k in range(len(table))],
        submitted=table["submitted"] + pd.Timedelta("200 days"),
        completed=table["completed"] + pd.Timedelta("200 days"),
    )
    fit = sim.fit(pd.concat([table, later], ignore_index=True))
    assert fit.problems.empty
    assert fit.arrivals.n == 2 * len(table)
    longest = max(len(line) for line in str(fit).splitlines())
    assert longest < 1000  # not a list of two hundred nights


def test_an_hour_between_two_halves_of_a_log_is_told(table):
    """A batch at 22:00 in Berlin, its log in UTC, over the last Sunday of March."""
    run = requests(BATCH, zone="Europe/Berlin", start="2026-03-23")[
        ["SN", "submitted", "completed"]
    ]
    plain = run.assign(
        **{c: run[c].dt.tz_convert("UTC").dt.tz_localize(None) for c in ("submitted", "completed")}
    )
    fit = sim.fit(plain)
    assert gaps_of(fit)["jump of the start"] == "-1 h from 2026-03-29 on"
    aware = plain.assign(**{c: plain[c].dt.tz_localize("UTC") for c in ("submitted", "completed")})
    right = sim.fit(aware, zone="Europe/Berlin")
    assert right.scenario.systems["outside system"].start == "22:00"
    assert "jump of the start" not in gaps_of(right)
    assert "jump of the start" not in gaps_of(sim.fit(table))


@pytest.mark.parametrize("form", ["file", "fixed offset", "UTC"])
def test_clock_times_of_offsets_are_said_to_be_those_of_utc(form, tmp_path):
    """A batch at 22:00 in Berlin, in summer, is one at 20:00 unless the zone is given."""
    columns = ["SN", "submitted", "completed"]
    run = requests(BATCH, zone="Europe/Berlin", start="2026-06-01")[columns]
    if form == "file":
        log = tmp_path / "log.csv"
        run.to_csv(log, index=False)
    else:
        to = "UTC" if form == "UTC" else "+02:00"
        log = run.assign(**{c: run[c].dt.tz_convert(to) for c in columns[1:]})
    fit = sim.fit(log)
    assert fit.scenario.systems["outside system"].start == "20:00"
    assert gaps_of(fit)["time zone"] == "UTC"
    right = sim.fit(log, zone="Europe/Berlin")
    assert right.scenario.systems["outside system"].start == "22:00"
    assert "time zone" not in gaps_of(right)


def test_two_batches_a_day_are_suspected(table):
    """A third of all completions outside the batch is more than strays."""
    rng = np.random.default_rng(1)
    some = rng.random(len(table)) < 0.3
    noon = table["submitted"].dt.normalize() + pd.Timedelta("36h")
    moved = table["completed"].mask(some, noon + pd.to_timedelta(np.arange(len(table)) % 600, "s"))
    fit = sim.fit(table.assign(completed=moved))
    meaning = fit.unexplained.set_index("what")["meaning"]
    assert "second batch" in meaning["completions outside the batch"]


@pytest.mark.parametrize("column", ["submitted", "completed"])
def test_a_column_of_dates_is_refused_by_its_name(table, column):
    """Waits would be as long as the time of day."""
    dates = table.assign(**{column: table[column].dt.normalize()})
    if column == "completed":
        dates[column] += pd.Timedelta("1 day")  # or it would be before it was submitted
    with pytest.raises(sim.ScenarioError, match=rf"dates without a time of day \({column}\)"):
        sim.fit(dates)


def test_the_coarsest_column_counts(table):
    """Submitted to the minute, completed to the microsecond."""
    fit = sim.fit(table.assign(submitted=table["submitted"].dt.floor("min")))
    assert gaps_of(fit)["resolution of its timestamps"] == "1 min"


def test_many_wrong_dates_are_refused_with_what_to_do(table):
    """More than strays: it is unknown which half is right."""
    wrong = table.assign(submitted=table["submitted"].mask(table.index % 10 == 0, EPOCH))
    with pytest.raises(sim.ScenarioError, match="from 1970-01-01 to 2026-01-18: mend dates"):
        sim.fit(wrong)


@pytest.mark.filterwarnings("ignore::asyncsim.LogWarning")
def test_cases_that_began_before_the_log_are_no_arrivals():
    """A log cut out of a longer one begins with resumptions of the night, not with arrivals."""
    log = sim.simulate(
        sim.Scenario(
            name="orders",
            process=sim.Process("order", [sim.AsyncStep("post", "ledger"), sim.Step("file", "1s")]),
            systems={"ledger": BATCH},
            arrivals=sim.Poisson("200/day", between=("08:00", "18:00")),
            length="28 days",
        ),
        sim.Callback(),
        seed=3,
    ).event_log()
    begin = log["time:timestamp"].min().normalize() + pd.Timedelta("135h")
    cut = log[log["time:timestamp"] >= begin]
    fit = sim.fit(cut)
    late = fit.arrivals.table.query("hour >= 19")
    assert late["arrivals"].sum() == 0
    reported = fit.problems.set_index("problem")["rows"]
    (number,) = [n for what, n in reported.items() if what.startswith("begun before the log")]
    starts = log.groupby("case:concept:name")["time:timestamp"].min()
    ends = log.groupby("case:concept:name")["time:timestamp"].max()
    assert number == ((starts < begin) & (ends >= begin)).sum()
    assert "asynchronous steps without a wait" not in gaps_of(fit)
