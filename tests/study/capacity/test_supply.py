"""What a system can do in a week, against what it does with more in its tray than that."""

import pytest

import asyncsim as sim
from asyncsim.study.capacity.least_work import least_work
from asyncsim.study.capacity.supply import WORKERS, Asked, shares

QUIET = {"progress": False}
WEEKS, WEEK = 150, 7 * 86400


def crowded(system, items=200):
    """So many items come on the first morning."""
    return sim.Scenario(
        name="crowded",
        process=sim.Process("p", [sim.AsyncStep("post", "ledger")]),
        systems={"ledger": system},
        arrivals=sim.Scattered(items, between=("00:00", "06:00")),
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
    assert "no fewer are offered: at 9 the workers would need 100.0%" in repr(answer)
    none = sim.fewest_workers(calls(), between=(2, 6), **ask)
    assert none.value is None
    assert "none is offered: at 6 the workers would need 150.0%" in repr(none)
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
        arrivals=sim.Scattered(4000),
        systems={"office": sim.OnlineService(sim.exponential("1min"), lanes=None)},
    )
    least = least_work(scenario, strategy)
    asked = Asked.of(sim.simulate(scenario, strategy, seed=1))
    assert asked.worker_seconds / asked.instances >= 0.97 * least


def test_the_least_work_is_all_of_it_where_nothing_is_left_to_chance():
    """A call of 2 s, a callback of a second, 10 s after it."""
    scenario = calls(process=sim.Process("p", [wait(), sim.Step("file", "10s")]))
    scenario = scenario.replace(server=sim.WorkflowServer(20, callback_work="1s"))
    asked = Asked.of(sim.simulate(scenario, sim.Callback(), seed=1))
    assert least_work(scenario, sim.Callback()) == 13
    assert asked.worker_seconds / asked.instances == pytest.approx(13)
    assert shares(scenario, [asked])[WORKERS] == pytest.approx(9 * 13 / (20 * 3600))


def test_an_answer_that_twice_the_length_undoes_says_so():
    """A time-out makes the hour after the wait unsure, so 35 workers for 40 an hour are offered.

    Their backlog is 12 (40/35 - 1) h late on average in a day, and twice that in two.
    """
    steps = [sim.AsyncStep("ask", "office", timeout="2h"), sim.Step("file", "1h")]
    scenario = calls("40/h", process=sim.Process("p", steps))
    ask = {"strategy": sim.Callback(), "replications": 4, **QUIET}
    short = sim.fewest_workers(scenario, target="mean_cycle_time <= 3h", **ask)
    assert short.value < 40
    assert "over 2 d mean_cycle_time is" in repr(short)
    assert "give a longer length" in repr(short)
    enough = sim.fewest_workers(scenario, target="mean_cycle_time <= 64min", **ask)
    assert enough.value > 40
    assert "longer length" not in repr(enough).replace("which a longer length shows", "")
