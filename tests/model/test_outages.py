"""Outages: when they are, and what they do to deliveries, checks, jobs and outside work."""

from datetime import date

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import asyncsim as sim
from asyncsim.model.calendar import Calendar
from asyncsim.model.outages import Downtime, downtime
from asyncsim.model.scenario_files import dumps, loads
from asyncsim.model.words import server_in_words

HOUR, DAY = 3600.0, 86400.0
MONDAY = Calendar(date(2026, 1, 5))
BERLIN = Calendar(date(2026, 3, 28), "Europe/Berlin")  # the clocks go forward on the second day
ENGINES = pytest.mark.parametrize("engine", ["simpy", "compiled"])


def spans(outage, calendar=MONDAY, days=8, seed=0):
    """Return the spans of an outage in a number of days."""
    draws = sim.Draws([], seed=seed)
    found = downtime([outage], calendar, draws.rng, "server")
    return [(a, b) for a, b, _ in found.first(days)[0].tolist() if a < days * DAY]


# --- when -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("outage", "calendar", "expected"),
    [
        (sim.Outage("2026-01-06 01:00", "2h"), MONDAY, [(25 * HOUR, 27 * HOUR)]),
        (sim.Outage("25h", "2h"), MONDAY, [(25 * HOUR, 27 * HOUR)]),
        (sim.Outage("01:00", "2h", days="Sun"), MONDAY, [(145 * HOUR, 147 * HOUR)]),
        (sim.Outage("0 1 * * 2", "2h"), MONDAY, [(25 * HOUR, 27 * HOUR)]),
        (sim.Outage("2026-03-29 04:00", "1h"), BERLIN, [(27 * HOUR, 28 * HOUR)]),
    ],
)
def test_when_it_is_down(outage, calendar, expected):
    """By date, by a time from the start, by the clock, by cron; right on change nights."""
    assert spans(outage, calendar) == expected


def test_outages_at_random_have_the_mean_gap_and_length():
    """Of 4,000 or so, within five standard errors; another seed has others."""
    outage = sim.Outage(every="2h", length=sim.exponential("30min"))
    found = np.array(spans(outage, days=400))
    gaps, lengths = found[1:, 0] - found[:-1, 1], found[:, 1] - found[:, 0]
    for times, mean in ((gaps, 2 * HOUR), (lengths, 1800.0)):
        assert abs(times.mean() - mean) < 5 * mean / len(times) ** 0.5
    assert spans(outage, days=3) == [tuple(one) for one in found.tolist() if one[0] < 3 * DAY]
    assert spans(outage, days=3) != spans(outage, days=3, seed=1)


def test_outages_of_one_name_are_down_together():
    """A network that fails takes the server and a system down at once."""
    network = sim.Outage(every="6h", length="1h", name="network")
    draws = sim.Draws([])
    server, system = (
        downtime([network], MONDAY, draws.rng, who) for who in ("server", "system/a/0")
    )
    assert server.first(20)[0].tolist() == system.first(20)[0].tolist()


@given(
    st.lists(st.tuples(st.integers(0, 40), st.integers(0, 9), st.booleans()), max_size=6),
    st.integers(0, 60),
    st.integers(0, 12),
)
def test_work_by_brute_force(rows, ready, work):
    """Second by second: it begins when up, stands still while down, or begins anew."""
    rows = sorted((float(a), float(a + n), float(lost)) for a, n, lost in rows)
    down = Downtime(iter(rows))
    down.first(1)
    whole = list(zip(down.begins, down.ends, down.lost, strict=True))

    def at(second):
        return next((lost for a, b, lost in whole if a <= second < b), None)

    start = next(t for t in range(ready, 200) if at(t) is None)
    done, t, begun = 0, start, start
    while done < work:
        if (lost := at(t)) is None:
            begun = t if not done and lost_before(whole, begun, t) else begun
            done += 1
        elif lost:
            done, begun = 0, next(s for s in range(t, 200) if at(s) is None)
        t += 1
    assert down.worked(float(ready), float(work)) == (begun, t if work else start)
    assert down.up_from(float(ready)) == start


def lost_before(whole, begun, second):
    return any(lost and begun < b <= second for _, b, lost in whole)


def test_overlapping_spans_are_one():
    """Two overlap, one touches; work is lost if it is in one of them."""
    down = Downtime(iter([(0.0, 5.0, 0.0), (3.0, 8.0, 1.0), (8.0, 9.0, 0.0), (20.0, 21.0, 0.0)]))
    assert down.first(1)[0].tolist() == [[0.0, 9.0, 1.0], [20.0, 21.0, 0.0]]


# --- what it does ---------------------------------------------------------------------------------


def scenario(server=None, outages=(), arrivals=(0.0,), item="10s", **step):
    """Return a scenario whose instances wait for a service with any number of lanes."""
    return sim.Scenario(
        "outage",
        sim.Process("p", [sim.AsyncStep("wait", "outside", **step)]),
        {"outside": sim.OnlineService(item, lanes=None, outages=outages)},
        sim.ArrivalTimes(list(arrivals)),
        server or sim.WorkflowServer(),
    )


def waits(found, strategy, engine):
    return sim.simulate(found, strategy, engine=engine).waits


@ENGINES
class TestServer:
    """One part of the server alone is down from 5 s to 65 s."""

    @staticmethod
    def down(part, work="pauses", **server):
        return sim.WorkflowServer(
            outages=[sim.Outage("5s", "1min", parts=part, work=work)], **server
        )

    def test_the_poller_makes_one_check_for_each_wait_at_the_end(self, engine):
        """Armed at 0, 1 and 2 s, polled every 10 s: all see completion at 65 s, in one check."""
        for poll_work in (0.0, "100ms"):
            server = self.down("poller", poll_work=poll_work)
            found = waits(scenario(server, arrivals=[0.0, 1.0, 2.0]), sim.Polling("10s"), engine)
            late = [65.0, 65.0, 65.0] if not poll_work else [65.1, 65.1, 65.1]
            assert found["resumed"].tolist() == late
            assert found["checks"].tolist() == [1, 1, 1]

    def test_no_long_poll_is_begun_while_the_poller_is_down(self, engine):
        """The request that is held since 0 s stays; the next would begin at 65 s."""
        found = waits(scenario(self.down("poller"), item="20s"), sim.LongPolling("30s"), engine)
        assert found["resumed"].tolist() == [20.0]
        found = waits(scenario(self.down("poller"), item="40s"), sim.LongPolling("30s"), engine)
        assert found["resumed"].tolist() == [65.0]
        assert found["checks"].tolist() == [2]

    def test_workers_pause(self, engine):
        """A callback that arrives at 4 s and takes 3 s is handled at 67 s, the next 3 s later."""
        server = self.down("workers", workers=1, callback_work="3s")
        found = waits(scenario(server, arrivals=[0.0, 6.0], item="4s"), sim.Callback(), engine)
        assert found["resumed"].tolist() == [67.0, 70.0]

    def test_work_is_lost(self, engine):
        """The same, but the first one begins anew."""
        server = self.down("workers", "is lost", workers=1, callback_work="3s")
        found = waits(scenario(server, arrivals=[0.0, 6.0], item="4s"), sim.Callback(), engine)
        assert found["resumed"].tolist() == [68.0, 71.0]

    def test_the_endpoint_refuses(self, engine):
        """At 10 s it is down, at 70 s it is up."""
        run = sim.simulate(
            scenario(self.down("endpoint")), sim.Callback(retries=["1min"]), engine=engine
        )
        assert run.deliveries["outcome"].tolist() == ["endpoint down", "finished"]
        assert run.waits["resumed"].tolist() == [70.0]
        assert run.overhead["requests"].sum() == 2


@ENGINES
class TestSystem:
    """The external system is down from 5 s to 65 s."""

    @pytest.mark.parametrize(("work", "completed"), [("pauses", 70.0), ("is lost", 75.0)])
    def test_its_work(self, engine, work, completed):
        """Ten seconds of work begin at 0 s."""
        found = scenario(outages=[sim.Outage("5s", "1min", work=work)])
        assert waits(found, sim.Callback(), engine)["resumed"].tolist() == [completed]

    def test_checks_see_nothing_and_callbacks_wait(self, engine):
        """Complete at 5 s, as it goes down: checks of a minute are wasted, the callback is late."""
        found = scenario(outages=[sim.Outage("5s", "1min")], item="5s")
        assert waits(found, sim.Callback(), engine)["resumed"].tolist() == [65.0]
        for poll_work in (0.0, 0.5):
            server = sim.WorkflowServer(poll_work=poll_work)
            polled = waits(
                scenario(server, found.systems["outside"].outages, item="5s"),
                sim.Polling("10s"),
                engine,
            )
            assert polled["wasted_checks"].tolist() == [6]
            assert polled["resumed"].tolist() == [70.0 + poll_work]

    def test_a_batch_begins_when_it_is_up(self, engine):
        """Due at 01:00, down until 03:00."""
        batch = sim.NightlyBatch("01:00", "1min", outages=[sim.Outage("00:30", "150min")])
        found = scenario().replace(systems={"outside": batch})
        assert waits(found, sim.Callback(), engine)["resumed"].tolist() == [3 * HOUR + 60]

    def test_people_pause(self, engine):
        """Half an hour of work from 08:00, in an hour that has an outage of 20 minutes."""
        people = sim.People(1, "30min", outages=[sim.Outage("08:10", "20min")])
        found = scenario().replace(systems={"outside": people})
        assert waits(found, sim.Callback(), engine)["resumed"].tolist() == [8 * HOUR + 50 * 60]


# --- files and bad input --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("outage", "words"),
    [
        (sim.Outage("2026-01-06 01:00", "2h"), "down at 2026-01-06 01:00 for 2 h"),
        (sim.Outage("25h", "2h", parts="poller"), "poller down 1.042 d after the start for 2 h"),
        (sim.Outage("01:00", "2h", days="Sun"), "down at 01:00 (Sun) for 2 h"),
        (sim.Outage("0 1 * * 2", "2h"), "down by cron (0 1 * * 2) for 2 h"),
        (
            sim.Outage(every="30d", length=sim.exponential("1h"), work="is lost"),
            "down at random, 30 d apart on average, for 1 h on average (exponential), which loses "
            "work under way",
        ),
    ],
)
def test_outages_in_words(outage, words):
    """When, how long, of what, and whether work is lost."""
    assert server_in_words(sim.WorkflowServer(outages=[outage])).endswith(f"; {words}")


def test_a_run_notes_what_an_outage_did():
    """Refused deliveries and dead letters, in words; nothing without them."""
    server = sim.WorkflowServer(outages=[sim.Outage("5s", "1min", parts="endpoint")])
    found = scenario(server, timeout="1h", on_timeout="continue")
    notes = sim.simulate(found, sim.Callback()).notes
    assert notes == [
        "1 delivery was refused: the endpoint was down",
        "1 callback was a dead letter",
    ]
    assert not sim.simulate(found, sim.Callback(retries=["2min"])).notes[1:]
    assert not sim.simulate(scenario(), sim.Callback()).notes


def test_a_file_holds_outages():
    """Of the server and of a system, by all three ways."""
    outages = [sim.Outage("25h", "2h"), sim.Outage(every="3d", length=sim.exponential("1h"))]
    server = sim.WorkflowServer(outages=[sim.Outage("2026-01-06 01:00", "2h", parts=["poller"])])
    found = scenario(server, outages)
    assert loads(dumps(found), sim.Scenario, "file") == found


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: sim.Outage(), "Outage.start must be given, or every= .*, got None"),
        (lambda: sim.Outage("1h", every="2h"), "Outage.start must be given, or every="),
        (lambda: sim.Outage("soon"), "Outage.start must be a date and time such as .* got 'soon'"),
        (lambda: sim.Outage("2026-02-30 01:00"), "Outage.start must be a date and time"),
        (lambda: sim.Outage("-1h"), "Outage.start must"),
        (lambda: sim.Outage("1h", 0), "Outage.length must be longer than 0 s on average, got 0"),
        (lambda: sim.Outage("1h", "x"), "Outage.length must be a duration"),
        (lambda: sim.Outage(every="1s"), "Outage.every must be 1 min or more, got '1s'"),
        (lambda: sim.Outage("1h", parts="enpoint"), "Outage.parts must be one of .*'endpoint'"),
        (lambda: sim.Outage("1h", parts=[]), "Outage.parts must list some of 'endpoint'"),
        (lambda: sim.Outage("1h", work="lost"), "Outage.work must be one of 'pauses', 'is lost'"),
        (lambda: sim.WorkflowServer(outages="1h"), "WorkflowServer.outages must be a list of out"),
        (
            lambda: sim.OnlineService("1s", outages=[sim.Outage("1h", parts="workers")]),
            "OnlineService.outages must have no parts",
        ),
        (
            lambda: sim.People(1, "1s", outages=[sim.Outage("1h", work="is lost")]),
            "People.outages must let work pause",
        ),
        (
            lambda: sim.simulate(
                scenario(outages=[sim.Outage("* * * * *", "2min")]), sim.Callback()
            ),
            "Outage.length: outages must end before the next one begins",
        ),
    ],
)
def test_bad_input_is_named(make, words):
    """Argument, value and what would be right."""
    with pytest.raises(sim.ScenarioError, match=words):
        make()
