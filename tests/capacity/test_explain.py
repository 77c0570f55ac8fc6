"""`explain`: each number is that of the simulation, each overload is one, nothing is silent."""

import math
from dataclasses import dataclass

import numpy as np
import pytest
import scipy
import thorough

import asyncsim as sim
from asyncsim.capacity.explain import Explanation, explain
from asyncsim.experiment.stability import WORKERS, instances_of_a_week
from asyncsim.model.units import WEEK

pytestmark = pytest.mark.filterwarnings("ignore::asyncsim.errors.CensoredWarning")

DAY = 86400.0
EQUIVALENT = 0.03
RARE = 1e-3
"""Smaller differences do not count: a tenth of a percentage point, a millisecond."""
CONFIDENCE = 0.99
MOST_RUNS = 100
BLOCKS = 20


class Cases:
    """Draws scenarios of every kind, whose runs have some thousand waits."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng([seed, 20])
        self.days = 7

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
        rate = float(self.choice(20, 60, 120))
        kind = self.choice(
            "poisson", "window", "weekly", "uniform", "regular", p=[0.6, 0.2, 0.1, 0.05, 0.05]
        )
        size = int(self.choice(1, 2, p=[0.9, 0.1]))
        if kind == "poisson":
            return sim.Poisson(f"{rate}/h", size=size), rate * size
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
            return sim.NightlyBatch("22:00", self.law(float(self.choice(1, 5))), results=end)
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
            sim.CallbackWithSafetyPoll("1s", loss=loss, every="30min"),
            sim.Polling(interval, jitter=5.0),
        )  # fmt: skip

    def step(self, name, system):
        done = float(self.choice(0.0, 0.2, p=[0.85, 0.15]))
        timeout = self.choice(None, "2h", p=[0.9, 0.1])
        work = self.choice(sim.fixed(0.0), sim.fixed(0.5), sim.exponential(2.0), p=[0.5, 0.3, 0.2])
        response = sim.Response(accepted=1 - done, done=done)
        return sim.AsyncStep(name, system, call_work=work, response=response, timeout=timeout)

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
        poll, handle = self.choice((0.0, 0.0), (0.05, 0.05), (0.02, 0.5))
        server = sim.WorkflowServer(int(self.choice(1, 2, 8)), poll_work=poll, callback_work=handle)
        scenario = sim.Scenario(
            name="drawn", process=sim.Process("p", elements), systems=systems, arrivals=arrivals,
            server=server, length=f"{self.days} days",
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
            return len(done) / (scenario.length / DAY)
        assert what == "load", what
        if part == WORKERS:
            busy = run.record.busy_seconds(scenario.server)
            share = busy / len(run.instances) * per_week / (scenario.server.workers * WEEK)
            return float(share)
        return math.nan  # the capacity is the matter of the tests of stability


def differs(values: list[float], expected: float) -> bool | None:
    """Return whether a mean is not equivalent to a value; None if that is not clear yet."""
    found = np.array([value for value in values if not math.isnan(value)])
    if len(found) < 3:
        return False if len(values) > 10 else None
    if expected < 1e-9:
        return bool(np.any(np.abs(found) > 1e-6))
    t = scipy.stats.t.ppf((1 + CONFIDENCE) / 2, len(found) - 1)
    half = t * float(found.std(ddof=1)) / math.sqrt(len(found))
    low, high = (found.mean() - half) / expected, (found.mean() + half) / expected
    if low >= 1 - EQUIVALENT and high <= 1 + EQUIVALENT:
        return False
    return True if low > 1 + EQUIVALENT or high < 1 - EQUIVALENT else None


def wrong_numbers(scenario, strategy, found: Explanation) -> list[str]:
    """Play a scenario until each number is shown to be equivalent or not."""
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
    undecided = [
        f"{k}: {v:.6g}, not decided: {np.nanmean(values[k]):.6g}" for k, v in open_.items()
    ]
    return wrong + undecided


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
        if certain and not found.overloaded:
            assert backlog(scenario, strategy) < 0.4, name
        assert repr(found), name
