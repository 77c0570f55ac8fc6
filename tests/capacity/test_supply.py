"""What a system can do in a week, against what it does with more in its tray than that."""

import math
import re

import pytest

import asyncsim as sim
from asyncsim.engine.loads import WORKERS, Asked, shares
from asyncsim.experiment.stability import least_work, outside_shares

QUIET = {"progress": False}
WEEKS, WEEK = 150, 7 * 86400


def asked_of(scenario, strategy):
    """Return the demand of a run."""
    run = sim.simulate(scenario, strategy, seed=1)
    return Asked.of(run.record, scenario)


def crowded(system, items=200):
    """All items come on the first morning."""
    return sim.Scenario(
        name="crowded",
        process=sim.Process("p", [sim.AsyncStep("post", "ledger")]),
        systems={"ledger": system},
        arrivals=sim.UniformArrivals(items, between=("00:00", "06:00")),
    )


def a_week_of(system):
    """Return the most items of a week, from what one a day asks for."""
    regular = crowded(system).replace(arrivals=sim.Poisson("1/day"))
    return 7 / shares(regular, [Asked(1, {"ledger": 1}, 0.0)])["ledger"]


BATCHES = {
    "skip": {"end": "04:00", "skip": 0.3},
    "failure": {"end": "04:00", "failure": 0.5},
    "failure, at end": {"end": "04:00", "failure": 0.5, "results": "at end"},
    "few, failure": {"max_items": 4, "failure": 0.5, "skip": 0.2},
    "few, failure, at end": {"max_items": 5, "failure": 0.4, "results": "at end"},
    "one, failure": {"max_items": 1, "failure": 0.3},
    "all day": {"skip": 0.3, "failure": 0.3},
    "all day, at end": {"skip": 0.3, "failure": 0.3, "results": "at end"},
}


@pytest.mark.slow
@pytest.mark.parametrize("batch", BATCHES.values(), ids=BATCHES)
def test_a_batch_with_enough_in_its_tray_does_what_a_week_allows(batch):
    """Of 1,050 nights the share that is skipped or breaks down is off by 3 % of itself or less."""
    system = sim.NightlyBatch("22:00", "5min", **batch)
    most = a_week_of(system)
    items = round(WEEKS * most * 1.3)
    run = sim.simulate(crowded(system, items), sim.Callback(), seed=1)
    last = run.waits["completed"].max() / WEEK
    if "at end" in batch.values() and "end" not in batch and "max_items" not in batch:
        done = items / last  # all of them are seen at once
    else:
        done = (run.waits["completed"] <= WEEKS * WEEK).sum() / WEEKS
    assert done == pytest.approx(most, rel=0.12)


def test_no_volume_is_offered_that_a_batch_with_skipped_nights_cannot_do():
    """361 items fit into a night of six hours, and seven nights of ten run: 253 a day."""
    scenario = crowded(sim.NightlyBatch("22:00", "60s", skip=0.3, end="04:00"))
    answer = sim.largest_volume(
        scenario.replace(arrivals=sim.Poisson("200/day")),
        sim.Callback(),
        "p95_latency <= 10min",
        replications=2,
        **QUIET,
    )
    assert float(answer.value.removesuffix("/day")) == pytest.approx(0.7 * 361, rel=0.02)


def calls(rate="9/h", **changes):
    """An hour of a worker for each."""
    scenario = sim.Scenario(
        name="calls",
        process=sim.Process("call", [sim.AsyncStep("ask", "office", call_work="1h")]),
        systems={"office": sim.OnlineService("1min", lanes=None)},
        arrivals=sim.Poisson(rate),
    )
    return scenario.replace(**changes)


def test_workers_without_time_to_spare_are_too_few_however_short_the_run():
    """Nine an hour of an hour each: nine workers have no moment left, and a backlog grows."""
    ask = {"strategy": sim.Callback(), "target": "p95_latency <= 2h", "replications": 2, **QUIET}
    answer = sim.fewest_workers(calls(), **ask)
    assert (answer.value, answer.low, answer.high) == (10, 10, 10)
    assert "no fewer are offered: with 9 workers, the workers would need 100 %" in repr(answer)
    none = sim.fewest_workers(calls(), between=(2, 6), **ask)
    assert none.value is None
    assert "none is offered: with 6 workers, the workers would need 150 %" in repr(none)
    volume = sim.largest_volume(calls("1/h", server=sim.WorkflowServer(3)), **ask)
    assert 2.9 < float(volume.value.removesuffix("/h")) < 3


def test_workers_are_not_blamed_for_what_an_outside_system_keeps_back():
    """It does one an hour, so the two hours of work after it come once an hour: three will do."""
    steps = [sim.AsyncStep("ask", "office"), sim.Step("file", "2h")]
    scenario = calls("2/h", process=sim.Process("p", steps))
    scenario = scenario.replace(systems={"office": sim.OnlineService("1h")})
    answer = sim.fewest_workers(
        scenario, sim.Callback(), "p95_latency <= 1h", replications=2, **QUIET
    )
    assert answer.value <= 3


def wait(**changes):
    return sim.AsyncStep("ask", "office", **{"call_work": "2s", **changes})


AFTER = sim.Step("file", sim.exponential("10s"))
UNSURE = sim.Response(accepted=0.5, done=0.3, rejected=0.2)


@pytest.mark.filterwarnings("ignore::asyncsim.errors.CensoredWarning")
@pytest.mark.parametrize("strategy", [sim.Callback(), sim.Callback(loss=0.3), sim.Polling("1min")])
@pytest.mark.parametrize(
    "steps",
    [
        [wait(), AFTER],
        [wait(timeout="1min"), AFTER],
        [wait(timeout="1min", on_timeout="continue"), AFTER],
        [wait(timeout="1min", on_timeout=[sim.Step("ring", "4s")]), AFTER],
        [wait(timeout="1s", arm="before call", on_timeout="continue", response=UNSURE), AFTER],
        [wait(response=UNSURE), AFTER],
        [wait(response=UNSURE, on_done=[sim.Step("note", "4s")], on_rejected="continue"), AFTER],
        [wait(on_accepted=[sim.Step("note", "4s")]), AFTER],
        [sim.Choice("which", [(0.3, [wait(), sim.Step("note", "4s")]), (0.7, [])]), AFTER],
        [sim.Parallel("both", [[wait()], [sim.Step("note", "4s")]]), AFTER],
        [sim.Parallel("both", [[wait(response=UNSURE)], [sim.Step("note", "90s")]]), AFTER],
    ],
)
def test_no_run_has_less_work_than_the_least(steps, strategy):
    """On average over 4,000 instances, whose means are off by 2 % or less."""
    scenario = calls(
        process=sim.Process("p", steps),
        server=sim.WorkflowServer(1000, callback_work="1s", poll_work="1s"),
        arrivals=sim.UniformArrivals(4000),
        systems={"office": sim.OnlineService(sim.exponential("1min"), lanes=None)},
    )
    least = least_work(scenario, strategy)
    asked = asked_of(scenario, strategy)
    assert asked.worker_seconds / asked.instances >= 0.97 * least


def test_the_least_work_is_all_of_it_where_nothing_is_left_to_chance():
    """A call of 2 s, a callback of a second, 10 s after it."""
    scenario = calls(process=sim.Process("p", [wait(), sim.Step("file", "10s")]))
    scenario = scenario.replace(server=sim.WorkflowServer(20, callback_work="1s"))
    asked = asked_of(scenario, sim.Callback())
    assert least_work(scenario, sim.Callback()) == 13
    assert asked.worker_seconds / asked.instances == pytest.approx(13)
    assert shares(scenario, [asked])[WORKERS] == pytest.approx(9 * 13 / (20 * 3600))


@pytest.mark.parametrize(
    ("strategy", "resume"),
    [
        (sim.Callback(), 1 - math.exp(-1)),  # exponential of a minute, within a minute
        (sim.Callback("30s"), 1 - math.exp(-0.5)),
        (sim.Callback("2min"), 0.0),
        (sim.Polling("20s"), 1 - math.exp(-2 / 3)),  # a check within the interval: at least these
        (sim.Callback(sim.exponential("1s")), 0.0),  # and of this it is not known
    ],
)
@pytest.mark.filterwarnings("ignore::asyncsim.errors.CensoredWarning")
def test_work_after_a_wait_in_which_nobody_is_needed_counts_by_its_chance(strategy, resume):
    """Neither a busy worker nor a queue outside can make it time out more often."""
    steps = [sim.AsyncStep("ask", "office", timeout="1min"), sim.Step("file", "10s")]
    scenario = calls(
        process=sim.Process("p", steps),
        systems={"office": sim.OnlineService(sim.exponential("1min"), lanes=None)},
        arrivals=sim.UniformArrivals(4000),
    )
    assert least_work(scenario, strategy) == pytest.approx(10 * resume)
    asked = asked_of(scenario, strategy)
    assert asked.worker_seconds / asked.instances >= 0.94 * 10 * resume
    worker = scenario.replace(server=sim.WorkflowServer(callback_work="1s", poll_work="1s"))
    assert least_work(worker, strategy) == 0
    lane = scenario.replace(systems={"office": sim.OnlineService("1min", lanes=100)})
    assert least_work(lane, strategy) == 0


def asked_and_filed(timeout="2h", callback_work="0s", rate="40/h", **changes):
    """An hour of a worker after each wait of a minute, which may time out."""
    steps = [sim.AsyncStep("ask", "office", timeout=timeout), sim.Step("file", "1h")]
    server = sim.WorkflowServer(callback_work=callback_work)
    return calls(rate, process=sim.Process("p", steps), server=server, **changes)


def test_time_outs_that_nobody_busy_can_bring_about_do_not_spare_the_workers():
    """Forty an hour of an hour each: forty workers have no moment left."""
    ask = {"strategy": sim.Callback(), "replications": 4, **QUIET}
    answer = sim.fewest_workers(asked_and_filed(), target="mean_cycle_time <= 3h", **ask)
    assert answer.value == 41
    verdicts = answer.table.set_index("value")["verdict"]
    assert verdicts[40] == "overloaded"
    half = {"office": sim.OnlineService(sim.exponential("1min"), lanes=None)}
    fewer = asked_and_filed(60 * math.log(2), systems=half)  # half of them time out
    answer = sim.fewest_workers(fewer, target="mean_cycle_time <= 3h", **ask)
    assert answer.value == 21


@pytest.mark.filterwarnings("ignore::asyncsim.errors.CensoredWarning")
def test_workers_whose_backlog_ends_with_time_outs_are_not_refused():
    """Callbacks that queue behind files for two hours time out: 20 workers for 40 an hour do well.

    The mean over instances that were not given up is an hour of work and about two of waiting.
    """
    scenario = asked_and_filed(callback_work="1s", length="4d")
    answer = sim.fewest_workers(
        scenario,
        sim.Callback(),
        "mean_cycle_time <= 6h",
        between=(20, 64),
        replications=2,
        **QUIET,
    )
    assert answer.value == 20
    assert set(answer.table["verdict"]) == {"met"}
    assert "longer length" not in repr(answer)


def test_a_latency_is_not_kept_by_letting_waits_time_out():
    """In six hours 35 workers are 6 (40/35 - 1) h late, less than an hour: for ever they are not.

    Of a quantile of 95 % one wait in twenty may be lost, and spares an hour and a second at most.
    """
    scenario = asked_and_filed(callback_work="1s", length="6h")
    ask = {"strategy": sim.Callback(), "replications": 2, **QUIET}
    assert sim.fewest_workers(scenario, target="p95_latency <= 1h", **ask).value >= 39
    assert sim.fewest_workers(scenario, target="mean_latency <= 1h", **ask).value >= 41
    busy = {n: least_work(scenario, sim.Callback(), lost=n) for n in (0.0, 0.05, 1.0)}
    assert busy == pytest.approx({0.0: 3601, 0.05: 0.95 * 3601, 1.0: 0})


def polled(rate, interval="1s", **changes):
    """A check is a second of the one worker, who has nothing else to do."""
    scenario = sim.Scenario(
        name="polled",
        process=sim.Process("p", [sim.AsyncStep("ask", "office")]),
        systems={"office": sim.OnlineService("4000s", lanes=None)},
        server=sim.WorkflowServer(1, poll_work="1s"),
        arrivals=sim.Poisson(rate),
        costs=sim.CostModel(check=0.001, late_minute=0.02),
    )
    return scenario.replace(**changes)


def test_checks_that_fill_all_workers_are_no_overload():
    """Of 200 open waits each is checked every 200 s then, and late by half of it, for ever."""
    answer = sim.longest_interval(
        polled("180/h"), "mean_latency <= 10min", between=("1s", "4s"), replications=2, **QUIET
    )
    assert answer.value == 4
    assert set(answer.table["verdict"]) == {"met"}
    assert answer.table["mean"].iloc[0] == pytest.approx(100, rel=0.25)
    assert "backlog grows" not in repr(answer).replace("or else a backlog grows", "")
    assert "longer length" not in repr(answer)


@pytest.mark.parametrize(
    ("scenario", "who"),
    [
        (polled("4000/h", length="20min"), "the workers would need "),
        (
            polled("2/h", systems={"office": sim.OnlineService("1h")}, length="4h"),
            "'office' would need 200 %",
        ),
    ],
)
def test_no_interval_is_offered_where_none_keeps_up(scenario, who):
    """One check of a second each is more than a second has; one an hour of two an hour are done."""
    ask = {"between": ("10min", "20min"), "replications": 2, **QUIET}
    answer = sim.longest_interval(scenario, "p95_latency <= 2h", **ask)
    assert answer.value is None
    assert re.search(f"none is offered: at [12]0 min {re.escape(who)}", repr(answer))
    assert set(answer.table["verdict"]) == {"overloaded"}
    cheapest = sim.cheapest_interval(scenario, **ask)
    assert (cheapest.value, cheapest.low, cheapest.high) == (None, None, None)
    assert "overloaded: more work comes than can be done" in cheapest.text
    assert who in repr(cheapest)


def test_more_workers_are_no_help_if_they_check_ever_more_waits():
    """One an hour of two an hour is done. A time-out bounds how many wait, and so does no check."""
    ask = {"target": "p95_latency <= 1h", "replications": 2, "between": (1, 8), **QUIET}
    scenario = polled("2/h", systems={"office": sim.OnlineService("1h")})
    answer = sim.fewest_workers(scenario, sim.Polling("10min"), **ask)
    assert answer.value is None
    assert "'office' would need 200 %" in repr(answer)
    assert sim.fewest_workers(scenario, sim.Callback(), **ask).value == 1
    free = scenario.replace(server=sim.WorkflowServer(1))
    assert sim.fewest_workers(free, sim.Polling("10min"), **ask).value == 1


def test_nobody_is_overloaded_by_chance():
    """Of a day's 100 instances 50 can be served: 49 to 53 in four runs may be 50 and less."""
    scenario = crowded(sim.OnlineService(86400 / 50)).replace(arrivals=sim.Poisson("100/day"))
    asked = [Asked(100, {"ledger": n}, 0.0) for n in (49, 52, 50, 53)]
    assert shares(scenario, asked)["ledger"] > 1
    assert 1 in outside_shares(scenario, asked, 0.95)["ledger"]
    more = [Asked(100, {"ledger": n + 5}, 0.0) for n in (49, 52, 50, 53)]
    assert outside_shares(scenario, more, 0.95)["ledger"].low > 1


@pytest.mark.filterwarnings("ignore::asyncsim.errors.CensoredWarning")
def test_an_answer_that_twice_the_length_undoes_says_so():
    """Whether files come after callbacks that may time out is unsure, so 35 workers are offered.

    Their backlog is 12 (40/35 - 1) h late on average in a day, and twice that in two.
    """
    scenario = asked_and_filed("2d", callback_work="1s")
    ask = {"strategy": sim.Callback(), "replications": 4, **QUIET}
    short = sim.fewest_workers(scenario, target="mean_cycle_time <= 3h", **ask)
    assert short.value < 40
    assert "over 2 d the mean cycle time is" in repr(short)
    assert "give a longer length" in repr(short)
    enough = sim.fewest_workers(scenario, target="mean_cycle_time <= 64min", **ask)
    assert enough.value > 40
    assert "longer length" not in repr(enough).replace("which a longer length shows", "")


def test_an_overloaded_system_comes_first_in_every_answer():
    """Two an hour of an hour each: whatever is asked, and no further runs where none can help."""
    scenario = polled("2/h", systems={"office": sim.OnlineService("1h")}, length="4h")
    ask = {"replications": 2, **QUIET}
    first = "'office' is overloaded: a week of arrivals asks for at least 200 % of its capacity"
    workers = sim.fewest_workers(scenario, sim.Callback(), "p95_latency <= 2h", **ask)
    assert workers.findings()[0].startswith(first)
    assert workers.findings()[0].endswith("no number of workers changes this.")
    interval = sim.longest_interval(scenario, "p95_latency <= 2h", **ask)
    assert interval.findings()[0].startswith(first)
    assert len(interval.table) == 1
    assert sim.frontier(scenario, **ask).findings()[0].startswith(first)
    served = scenario.replace(systems={"office": sim.OnlineService("1h", lanes=3)})
    assert "overloaded" not in repr(
        sim.fewest_workers(served, sim.Callback(), "p95_latency <= 2h", **ask)
    )
