"""`explain`: each number is that of the simulation, each overload is one, nothing is silent."""

import math
from dataclasses import dataclass
from itertools import takewhile

import numpy as np
import pytest
import scipy
import thorough

import asyncsim as sim
from asyncsim.capacity.explain import Explanation, explain
from asyncsim.engine.loads import WORKERS, instances_of_a_week
from asyncsim.model.calendar import Calendar
from asyncsim.model.units import WEEK

pytestmark = pytest.mark.filterwarnings("ignore::asyncsim.errors.CensoredWarning")

DAY = 86400.0
EQUIVALENT = 0.03
RARE = 1e-3
"""Smaller differences do not count: a tenth of a percentage point, a millisecond."""
CONFIDENCE = 0.99
MOST_RUNS = 100
ALMOST_CERTAIN = 0.9999
BLOCKS = 15


class Cases:
    """Draws scenarios of every kind, whose runs have some thousand waits."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng([seed, 20])
        self.days = float(self.choice(7, 1, 1.5, 0.07, p=[0.7, 0.1, 0.1, 0.1]))

    def choice(self, *values, p=None):
        return values[self.rng.choice(len(values), p=p)]

    def law(self, mean):
        kind = self.choice("fixed", "exponential", "lognormal", "uniform", "gamma")
        if kind == "fixed":
            return sim.fixed(mean)
        if kind == "exponential":
            return sim.exponential(mean)
        if kind == "lognormal":
            return sim.lognormal(mean, mean * self.choice(0.3, 1.0))
        if kind == "uniform":
            return sim.uniform(mean / 2, 1.5 * mean)
        return sim.gamma(mean, mean * 0.7)

    def arrivals(self):
        rate = float(self.choice(20, 60, 120, 1000, p=[0.3, 0.3, 0.3, 0.1]))
        kind = self.choice(
            "poisson", "window", "weekly", "uniform", "regular", p=[0.6, 0.2, 0.1, 0.05, 0.05]
        )
        size = int(self.choice(1, 2, 8, p=[0.9, 0.07, 0.03]))
        if kind == "poisson":
            return sim.Poisson(f"{rate / max(size / 2, 1)}/h", size=size), rate * min(size, 2)
        if kind == "window":
            return sim.Poisson(f"{rate}/h", between=("08:00", "20:00")), rate / 2
        if kind == "weekly":
            return sim.WeeklyPoisson([rate / 2] * 8 + [rate] * 16), rate
        if kind == "uniform":
            return sim.UniformArrivals(int(rate * 24 * self.days)), rate
        return sim.Regular(3600.0 / rate), rate

    def system(self, per_hour):
        mean = float(self.choice(30, 600, 3600))
        kind = self.choice(
            "many", "lanes", "batch", "people", "chain", p=[0.55, 0.2, 0.13, 0.07, 0.05]
        )
        if kind == "many":
            return sim.OnlineService(self.law(mean), lanes=None)
        if kind == "lanes":
            lanes, load = int(self.choice(1, 2, 3)), float(self.choice(0.3, 0.6, 1.4))
            law = self.choice(sim.exponential, self.law)
            return sim.OnlineService(law(load * lanes * 3600 / per_hour), lanes=lanes)
        if kind == "batch":
            end = self.choice("per item", "at end")
            start = self.choice("22:00", "0 12,22 * * *", p=[0.8, 0.2])
            return sim.NightlyBatch(start, self.law(float(self.choice(1, 5))), results=end)
        if kind == "people":
            return sim.People(int(self.choice(2, 5)), self.law(float(self.choice(60, 600))))
        return sim.Chain([sim.OnlineService(self.law(mean)), sim.OnlineService(self.law(10.0))])

    def strategy(self):
        interval = float(self.choice(60, 300, 900))
        retries = self.choice((), (60.0,), (10.0, 300.0))
        loss = float(self.choice(0.0, 0.1))
        return self.choice(
            sim.Polling(interval),
            sim.Polling(interval, anchor=self.choice("clock", "random")),
            sim.Backoff(10.0, cap=interval),
            sim.LongPolling(interval),
            sim.Callback(self.law(1.0), loss=loss, retries=retries),
            sim.Callback("50ms", duplicates=float(self.choice(0.0, 0.2))),
            sim.CallbackWithSafetyPoll(
                self.law(0.1), loss=loss, every=interval, anchor=self.choice("random", "arming")
            ),
            sim.Polling(interval, jitter=5.0),
        )  # fmt: skip

    def step(self, name, system):
        done = float(self.choice(0.0, 0.2, p=[0.85, 0.15]))
        timeout = self.choice(None, "2h", p=[0.9, 0.1])
        work = self.choice(sim.fixed(0.0), sim.fixed(0.5), sim.exponential(2.0), p=[0.5, 0.3, 0.2])
        response = sim.Response(accepted=1 - done, done=done)
        arming = {"arm": self.choice("after call", "before call", p=[0.9, 0.1])}
        if arming["arm"] == "after call":
            arming["arm_delay"] = float(self.choice(0.0, 60.0, p=[0.9, 0.1]))
        return sim.AsyncStep(
            name, system, call_work=work, response=response, timeout=timeout, **arming
        )

    def draw(self):
        arrivals, per_hour = self.arrivals()
        work = self.choice(0.0, 1.0, 20.0, p=[0.4, 0.4, 0.2])
        elements = [sim.Step("check", self.law(work) if work else 0.0)]
        elements.append(self.step("ask", "first"))
        systems = {"first": self.system(per_hour)}
        if self.rng.random() < 0.3:
            systems["second"] = self.system(per_hour)
            elements.append(self.step("book", "second"))
        if self.rng.random() < 0.2:
            elements.append(sim.Choice("ok?", [(0.7, [sim.Step("ship", 1.0)]), (0.3, [])]))
        if self.rng.random() < 0.1:
            branch = [sim.Step("sort", self.law(1.0)), self.step("other", "first")]
            elements[-1:] = [sim.Parallel("both", [elements[-1:], branch])]
        if self.rng.random() < 0.2:
            elements.append(sim.Step("file", self.law(20.0)))
        poll, handle = self.choice((0.0, 0.0), (0.05, 0.05), (0.02, 0.5), (6.0, 6.0))
        server = sim.WorkflowServer(int(self.choice(1, 2, 8)), poll_work=poll, callback_work=handle)
        scenario = sim.Scenario(
            name="drawn", process=sim.Process("p", elements), systems=systems, arrivals=arrivals,
            server=server, length=self.days * DAY, zone=self.choice(None, "Europe/Berlin"),
            start=self.choice("2026-01-05", "2026-10-19"),
        )  # fmt: skip
        return scenario, self.strategy()


@dataclass
class Measured:
    """The numbers of `explain`, in one run."""

    run: sim.Run

    def of(self, part: str, what: str) -> float:
        """Return one number; NaN if the run has none."""
        scenario, run = self.run.scenario, self.run
        if part == WORKERS or part in scenario.systems:
            return self.of_part(part, what)
        waits = run.waits[run.waits["step"] == part]
        if what == "open waits":
            return float((waits["resumed"] - waits["armed"]).sum()) / scenario.length
        if what == "external time":
            return float((waits["completed"] - waits["armed"]).mean())
        if what == "resume latency":
            return float(waits["latency"].mean())
        if what == "checks per wait":
            return float(waits["checks"].mean())
        if what == "wasted share":
            return float(waits["wasted_checks"].sum() / waits["checks"].sum())
        assert what == "overhead per wait", what
        sent = run.deliveries[run.deliveries["serial_number"].isin(waits["serial_number"])]
        arrived = sent["handled"].notna().sum()
        server = scenario.server
        spent = waits["checks"].sum() * server.poll_work + arrived * server.callback_work
        return float(spent / len(waits))

    def of_part(self, part: str, what: str) -> float:
        """Return a number of the workers or of a system."""
        scenario, run = self.run.scenario, self.run
        per_week = instances_of_a_week(scenario, len(run.instances))
        if what == "waiting for a worker":
            names = [s.name for s in scenario.process.of_type(sim.Step) if s.work.mean]
            names += [s.name for s in scenario.process.of_type(sim.AsyncStep) if s.call_work.mean]
            worked = run.steps[run.steps["step"].isin(names)]
            return float((worked["started"] - worked["queued"]).mean()) if len(worked) else 0.0
        if what == "items of a run":
            calls = [s.name for s in scenario.process.of_type(sim.AsyncStep) if s.system == part]
            done = run.waits[run.waits["step"].isin(calls)]["completed"]
            batch = scenario.systems[part]
            nights = batch.nights(Calendar(scenario.start))  # of a week of 168 hours
            starts = list(takewhile(lambda night: night.start < WEEK, nights))
            whole = scenario.length == 7 * DAY  # else the first and last run are others
            return len(done) / len(starts) if whole else math.nan
        assert what == "load", what
        if part == WORKERS:
            busy = run.record.busy_seconds(scenario.server)
            share = busy / len(run.instances) * per_week / (scenario.server.workers * WEEK)
            return float(share)
        return math.nan  # the capacity is the matter of the tests of stability


def interval(values: list[float], confidence: float) -> tuple[float, float]:
    """Return the mean of those that are known, and half the width of its interval."""
    found = np.array([value for value in values if not math.isnan(value)])
    if len(found) < 2:
        return math.nan, math.inf
    t = scipy.stats.t.ppf((1 + confidence) / 2, len(found) - 1)
    return float(found.mean()), t * float(found.std(ddof=1)) / math.sqrt(len(found))


def differs(values: list[float], expected: float) -> bool | None:
    """Return whether a mean is not equivalent to a value; None if that is not clear yet."""
    found = np.array([value for value in values if not math.isnan(value)])
    if len(found) < 3:
        return False if len(values) > 10 else None
    if expected < 1e-9:
        return bool(np.any(np.abs(found) > 1e-6))
    mean, half = interval(values, CONFIDENCE)
    low, high = (mean - half) / expected, (mean + half) / expected
    if low >= 1 - EQUIVALENT and high <= 1 + EQUIVALENT:
        return False
    return True if low > 1 + EQUIVALENT or high < 1 - EQUIVALENT else None


def wrong_numbers(scenario, strategy, found: Explanation) -> list[str]:
    """Play a scenario until each number is shown to be equivalent or not.

    Short runs have few waits, and safety polls few checks: what remains open there must not differ
    significantly.
    """
    open_ = {
        (row.part, row.what): row.value
        for row in found.table.itertuples()
        if not math.isnan(row.value) and not row.at_least
        and not (row.what == "load" and row.part != WORKERS)
    }  # fmt: skip
    values: dict[tuple[str, str], list[float]] = {key: [] for key in open_}
    wrong, run = [], 0
    while open_ and run < MOST_RUNS:
        measured = Measured(sim.simulate(scenario, strategy, seed=1000 + run))
        run += 1
        for key in list(open_):
            values[key].append(measured.of(*key))
            if run >= 4 and (verdict := differs(values[key], open_[key])) is not None:
                if verdict:
                    mean = np.nanmean(values[key])
                    wrong.append(f"{key}: {open_[key]:.6g} expected, {mean:.6g} in {run} runs")
                del open_[key]
    for key, expected in open_.items():
        mean, half = interval(values[key], ALMOST_CERTAIN)
        many = scenario.length >= WEEK and key[1] != "wasted share"
        if many or abs(mean - expected) > half:
            wrong.append(f"{key}: {expected:.6g} expected, not decided: {mean:.6g}")
    return wrong


def cases(block: int):
    """Yield some random scenarios with a strategy, and what is expected of them."""
    for k in range(thorough.times(3)):
        scenario, strategy = Cases(1000 * block + k).draw()
        yield (block, k), scenario, strategy, explain(scenario, strategy)


@pytest.mark.parametrize("block", range(BLOCKS))
def test_numbers_are_those_of_the_simulation(block):
    """Two one-sided tests: each number is within 3 % of the mean over runs."""
    problems = []
    for name, scenario, strategy, found in cases(block):
        if not found.overloaded:
            wrong = wrong_numbers(scenario, strategy, found)
            problems += [(*name, one) for one in wrong]
    assert not problems


def backlog(scenario, strategy) -> float:
    """Return how much longer than its arrivals a run takes to clear them, as a share; 1 at most."""
    run = sim.simulate(scenario, strategy, seed=7, until=2 * scenario.length)
    queued = run.steps["queued"].notna() & run.steps["started"].isna()
    if run.waits["completed"].isna().any() or queued.any():
        return 1.0
    last = max(run.steps["started"].max(), run.waits["completed"].max())
    return float(last) / scenario.length - 1


@pytest.mark.parametrize("block", range(BLOCKS))
def test_what_is_overloaded_is(block):
    """Demand above capacity takes that much longer than the arrivals."""
    for name, scenario, strategy, found in cases(block):
        for part in found.overloaded:
            least = min(0.5 * (found.loads[part] - 1), 0.9)
            assert backlog(scenario, strategy) > least, (name, part)


@pytest.mark.parametrize("block", range(BLOCKS))
def test_nothing_is_silent(block):
    """Each part has its load, each wait all of its numbers, each number a value or a reason."""
    for name, scenario, strategy, found in cases(block):
        table = found.table
        assert table["why"].str.len().min() > 0, name
        assert set(table[table["what"] == "load"]["part"]) == {WORKERS, *scenario.systems}
        assert table["value"].isna().eq(table["formula"] == "").all(), name
        for call in scenario.process.of_type(sim.AsyncStep):
            of_step = set(table[table["part"] == call.name]["what"])
            assert {"external time", "resume latency", "overhead per wait", "open waits"} <= of_step
        loads = table[table["what"] == "load"]
        certain = loads["value"].notna().all() and not loads["at_least"].any()
        if certain and not found.overloaded and scenario.length >= DAY:
            assert backlog(scenario, strategy) < 0.4, name
        assert repr(found), name


MANY = sim.OnlineService(sim.exponential("10min"), lanes=None)
NIGHT, AT_END = (sim.NightlyBatch("22:00", 0.001, results=end) for end in ("per item", "at end"))
IN_DAY = sim.Poisson("1000/day", between=("08:00", "20:00"))
ASK = sim.AsyncStep("ask", "x")
CALLED, POLLED = sim.Callback("1s"), sim.Polling("5min")


def one(*steps, system=MANY, arrivals=IN_DAY, days=7.0, workers=1, poll=0.0, handle=0.0, zone=None):
    """Return a scenario with one system, "x"."""
    server = sim.WorkflowServer(workers, poll_work=poll, callback_work=handle)
    return sim.Scenario(
        name="edge", process=sim.Process("p", steps or [ASK]), systems={"x": system},
        arrivals=arrivals, server=server, length=days * DAY, zone=zone, start="2026-10-19",
    )  # fmt: skip


def call(name="ask", **given):
    return sim.AsyncStep(name, "x", **given)


def branches(*given):
    return sim.Parallel("both", [[one] for one in given])


EXTERNAL, LATE, CHECKS = "external time", "resume latency", "checks per wait"
HALF = sim.Response(accepted=0.5, rejected=0.5)
WAITS_FOR = sim.CallbackWithSafetyPoll("1s", every="60s", anchor="random")
REASONS = {
    "armed late": (one(call(arm_delay=60)), POLLED, EXTERNAL, "before the wait is armed"),
    "reacts first": (
        one(call(on_accepted=[sim.Step("react", 30)])), CALLED, EXTERNAL, "before the wait",
    ),
    "armed before a batch": (
        one(call(arm="before call", call_work=1), system=NIGHT), CALLED, EXTERNAL, "before",
    ),
    "cancelled by a response": (
        one(call(arm="before call", response=HALF)), POLLED, CHECKS, "may cancel it",
    ),
    "cancelled by a branch": (
        one(branches(call(), call("other", response=HALF))), POLLED, CHECKS, "another branch",
    ),
    "cancelled by a time-out": (
        one(branches(call(), call("other", timeout=300))), POLLED, CHECKS, "another branch",
    ),
    "callbacks of branches": (
        one(branches(*(call(name) for name in ("ask", "b", "c"))), handle=1), CALLED, LATE,
        "at the same time",
    ),
    "a clock, short": (
        one(arrivals=sim.UniformArrivals(400), days=0.07), sim.Polling(3600, anchor="clock"), LATE,
        "not spread evenly",
    ),
    "a clock, half a day": (
        one(days=1.5), sim.Polling("12h", anchor="clock"), LATE, "not spread evenly",
    ),
    "batch, half a day": (one(system=NIGHT, days=1.5), CALLED, EXTERNAL, "by the clock"),
    "batch, two a day": (
        one(system=sim.NightlyBatch("0 12,22 * * *", 0.001, results="at end"), handle=1), CALLED,
        LATE, "may come together",
    ),
    "batch, day and night": (
        one(system=AT_END, arrivals=sim.Poisson("300/day"), days=1, handle=1), CALLED, LATE,
        "may come together",
    ),
    "batch, queues before": (
        one(sim.Step("work", 10), ASK, system=NIGHT, arrivals=sim.Poisson(
            "30/day", size=60, between=("08:00", "20:00"))), CALLED, EXTERNAL, "by the clock",
    ),
    "batch, work until morning": (
        one(ASK, sim.Step("late", 60), system=NIGHT), CALLED, EXTERNAL, "by the clock",
    ),
    "batch, resumed together": (
        one(ASK, sim.Step("late", 0.5), system=AT_END, poll=0.001), POLLED, LATE, "at the peak",
    ),
    "batch, as fast as arrivals": (
        one(system=sim.NightlyBatch("20:00", 43.2)), sim.Polling("17min"), LATE, "only the mean",
    ),
    "check beside a callback": (
        one(poll=6, handle=6, workers=8), WAITS_FOR, CHECKS, "callback is handled",
    ),
    "no time to settle": (
        one(system=sim.OnlineService(sim.exponential(600)), arrivals=sim.Poisson("5/h"), days=0.12),
        CALLED, EXTERNAL, "too short",
    ),
    "all are lost": (one(), sim.Callback(loss=1.0), LATE, "all are lost"),
    "rounding": (one(system=sim.OnlineService(0.7 + 0.7 * 1.3, lanes=None)),
        sim.Backoff(0.7, 1.3), LATE, "rounding decides"),
}  # fmt: skip


@pytest.mark.parametrize(("scenario", "strategy", "what", "why"), REASONS.values(), ids=REASONS)
def test_a_condition_that_fails_is_the_reason(scenario, strategy, what, why):
    """There is no number where a condition of its formula fails; the others are right."""
    found = explain(scenario, strategy)
    row = found.table.set_index(["part", "what"]).loc[("ask", what)]
    assert math.isnan(row["value"])
    assert why in row["why"]
    assert not wrong_numbers(scenario, strategy, found)


NUMBERS = {
    "callback work is not that of a check": (
        one(arrivals=sim.Poisson("2000/h"), days=1, poll=0.02, handle=1.0), CALLED,
    ),
    "delay far below the interval": (
        one(), sim.CallbackWithSafetyPoll(sim.exponential(0.05), every="6h", anchor="random"),
    ),
    "delays of a log": (
        one(), sim.CallbackWithSafetyPoll(sim.empirical([1, 200, 900]), every=600, anchor="random"),
    ),
    "rounding of a grid": (one(system=sim.OnlineService(2.2, lanes=None)), sim.Polling(0.7)),
    "equal intervals": (one(system=sim.OnlineService(2.2, lanes=None)), sim.Backoff(0.5, cap=0.5)),
    "uncapped": (one(), sim.Backoff(1.0, 1.5, cap=None)),
    "runs of the week of a change": (one(system=sim.NightlyBatch("23:30", 1), zone="Europe/Berlin"),
        CALLED),
    "herd": (one(call(response=HALF), system=AT_END, handle=1), CALLED),
    "no specification, random phase": (
        one(system=sim.Chain([MANY, NIGHT])), sim.Polling("5min", anchor="random"),
    ),
    "steps after a time-out there is not": (one(call(on_timeout=[sim.Step("t", 1)]), poll=0.01),
        POLLED),
    "branches after a wait that never ends": (
        one(ASK, branches(sim.Step("a", 1), sim.Step("b", 1))), sim.Callback(loss=1.0),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("scenario", "strategy"), NUMBERS.values(), ids=NUMBERS)
def test_numbers_at_the_edge_are_those_of_the_simulation(scenario, strategy):
    """Where a formula or its sum was wrong."""
    found = explain(scenario, strategy)
    assert found.table["value"].notna().sum() >= 2
    assert not wrong_numbers(scenario, strategy, found)


@pytest.mark.parametrize("strategy", [sim.Backoff(1, cap=2), sim.Polling(1), sim.LongPolling(1)])
def test_a_long_tail_is_the_reason(strategy):
    """A sum of too many terms is not begun: the answer comes at once."""
    system = sim.OnlineService(sim.lognormal(3600, 360000), lanes=None)
    table = explain(one(system=system, poll=0.001), strategy).table.set_index("what")
    assert math.isnan(table.loc["resume latency", "value"])
    assert "too long for the sum" in table.loc["resume latency", "why"]


def test_given_up_in_a_branch():
    """Steps of another branch are not certain then, and the load is a bound."""
    late = [sim.Step("long", 3600.0), sim.Step("after", 60.0)]
    scenario = one(sim.Parallel("both", [[ASK], late]), workers=200)
    found = explain(scenario, sim.Polling(60, limit=3))
    assert found.table.set_index("what").loc["load", "at_least"].any()
    run = sim.simulate(scenario, sim.Polling(60, limit=3), seed=1)
    assert found.loads[WORKERS] <= Measured(run).of(WORKERS, "load")


def test_custom_arrivals_are_as_they_are_drawn():
    """A subclass may draw others than its class."""

    class Half(sim.Poisson):
        def draw(self, rng, calendar, length):
            return super().draw(rng, calendar, length)[::2]

    full = explain(one(handle=1.0), CALLED).loads[WORKERS]
    half = explain(one(handle=1.0, arrivals=Half("1000/day", between=("08:00", "20:00"))), CALLED)
    assert half.loads[WORKERS] == pytest.approx(full / 2, rel=0.1)


def test_overloaded_systems_pass_on_what_they_can():
    """What follows is asked for no more than that; of a system that feeds itself it is unknown."""
    slow, less, fast = (sim.OnlineService(mean, lanes=1) for mean in (60.0, 50.0, 40.0))
    calls = [sim.AsyncStep(name, name) for name in ("slow", "less", "fast")]

    def explained(steps):
        systems = {"slow": slow, "less": less, "fast": fast}
        process = sim.Process("p", steps)
        rate = sim.Poisson("90/h")
        return explain(sim.Scenario("chained", process, systems, rate), CALLED)

    found = explained(calls)
    assert found.overloaded == ["slow"]
    assert found.loads["slow"] == pytest.approx(1.5)
    assert found.loads["less"] == pytest.approx(50 / 60)
    assert found.loads["fast"] == pytest.approx(40 / 60)
    table = explained([*calls[:2], sim.AsyncStep("again", "slow"), calls[2]]).table
    loads = table[table["what"] == "load"].set_index("part")
    assert loads.loc["fast", "at_least"]
    assert "how much of each step passes" in loads.loc["fast", "why"]


def test_the_bottleneck_names_what_may_overload_before():
    """A load that is a bound, or unknown, may be the larger one."""
    limited = explain(one(call(timeout=7200), system=sim.OnlineService(60)), POLLED)
    assert limited.bottleneck == "x"
    assert "times the volume, or before: less is known of the workers" in limited.sentences[0]
