"""Theory is the oracle: both engines are equivalent to it, and an error of 3 % is found out."""

from functools import cache
from itertools import islice

import attrs
import numpy as np
import pandas as pd
import pytest

from asyncsim.engine import metrics as costing
from asyncsim.engine import metrics as figures
from asyncsim.engine.contexts import WaitContext
from asyncsim.engine.environment import Workers
from asyncsim.errors import ScenarioError
from asyncsim.experiment import theory
from asyncsim.fast.layout import Builder
from asyncsim.model import closed_forms
from asyncsim.model.closed_forms import Expected
from asyncsim.model.scenario import Scenario
from asyncsim.model.specifications import Batch, Grid, Intervals
from asyncsim.verification.experiments import EXACT, MARGIN, all_experiments
from asyncsim.verification.verify import played, verdict, verify

pytestmark = pytest.mark.slow

WRONG = 1.03
QUICK = {(one.engine, one.name): one for one in all_experiments(quick=True)}
LONG = {
    "compiled": ("M/M/2", "M/M/5"),
    "simpy": ("polling", "checks of 15 s", "herd of 8000"),
}
"""Those that take seconds; the command `asyncsim verify --quick` plays them too."""


def named(part, engine, experiments=None):
    """Return the first experiment of an engine whose name has a part."""
    chosen = all_experiments(quick=True) if experiments is None else experiments
    return next(one for one in chosen if one.engine == engine and part in one.name)


@cache
def simulated(engine, name):
    """Return the replications of an experiment, whatever theory says."""
    return played(1, 20, QUICK[engine, name])


def verdicts(experiment, found):
    """Return the verdict of each metric on replications."""
    return {
        metric: verdict([one[metric] for one in found], value, experiment.bound(metric))
        for metric, value in experiment.theory.items()
    }


@pytest.mark.parametrize(
    ("engine", "name"),
    [(engine, name) for engine, name in QUICK if not any(part in name for part in LONG[engine])],
)
def test_simulation_is_equivalent_to_theory(engine, name):
    """The whole 90 % interval of the mean lies within the bound around the closed form."""
    found = verdicts(QUICK[engine, name], simulated(engine, name))
    assert set(found.values()) == {"ok"}, found


# --- an error of 3 % is found out -----------------------------------------------------------------


def off(found, figures=("latency", "checks", "deliveries")):
    """Return what a closed form gives, 3 % too large."""
    if isinstance(found, Expected):
        return attrs.evolve(found, **{name: getattr(found, name) * WRONG for name in figures})
    return tuple(value * WRONG for value in found) if isinstance(found, tuple) else found * WRONG


ORACLES = [
    (closed_forms, "callback", "3 retries", {"mean_latency", "deliveries_per_wait"}),
    (closed_forms, "polling_from_arming", "polling 1 min;", {"mean_latency", "checks_per_wait"}),
    (closed_forms, "polling_at_random_phase", "5 min, random; external lognormal",
     {"mean_latency", "checks_per_wait"}),
    (closed_forms, "checks_at_given_times", "backoff 1 s x 2 up to",
     {"mean_latency", "checks_per_wait"}),
    (closed_forms, "callback_with_safety_poll", "safety poll",
     {"mean_latency", "checks_per_wait"}),
    (theory, "renewal_latency", "fixed interval, full", {"mean_latency"}),
    (theory, "mg1_wait", "checks as arrivals", {"noticing_queueing_time"}),
    (theory, "herd_mean_wait", "herd of 8000", {"herd_queueing_time"}),
    (theory, "herd_mean_end", "herd of 1001 checks", {"mean_latency"}),
    (theory, "saturated_checks", "keep the only worker busy", {"mean_latency", "checks_per_wait"}),
    (theory, "bucket_drained", "limit of 300", {"drained"}),
    (theory, "window_drained", "limit of 100", {"drained"}),
    (theory, "herd_drained", "herd of 1001 callbacks", {"drained"}),
    (theory, "mean_beyond", "costs of polling 5 min", {"cost_of_lateness"}),
    (theory, "open_waits", "open waits; external fixed", {"open_wait_seconds"}),
    (theory, "erlang_c", "M/M/1", {"share_queueing"}),
    (theory, "mmc_wait", "M/M/1", {"queueing_time"}),
]  # fmt: skip


@pytest.mark.parametrize(("module", "name", "part", "caught"), ORACLES)
def test_a_closed_form_that_is_3_percent_wrong_is_caught(module, name, part, caught, monkeypatch):
    """The figures that follow from it are not equivalent any more."""
    right = getattr(module, name)
    monkeypatch.setattr(module, name, lambda *given, **named: off(right(*given, **named)))
    wrong = named(part, "compiled")
    found = verdicts(wrong, simulated("compiled", wrong.name))
    assert {metric for metric, said in found.items() if said == "ok"}.isdisjoint(caught), found


def test_a_formula_of_retries_with_latencies_3_percent_wrong_is_caught(monkeypatch):
    """Alone: numbers of attempts and of dead letters are still right."""
    right = closed_forms.callback
    monkeypatch.setattr(closed_forms, "callback", lambda *given: off(right(*given), ("latency",)))
    wrong = named("3 retries", "compiled")
    found = verdicts(wrong, simulated("compiled", wrong.name))
    assert found.pop("mean_latency") == "wrong"
    assert set(found.values()) == {"ok"}


def larger_argument(owner, method, number):
    """Return a plant: an argument of a method, counted from 0, is 3 % too large."""

    def plant(monkeypatch):
        right = getattr(owner, method)

        def wrong(self, *given):
            return right(self, *given[:number], given[number] * WRONG, *given[number + 1 :])

        monkeypatch.setattr(owner, method, wrong)

    return plant


def larger_field(owner, method, name):
    """Return a plant: a method sees a field of its object that is 3 % too large."""

    def plant(monkeypatch):
        right = getattr(owner, method)

        def wrong(self, *given):
            return right(attrs.evolve(self, **{name: getattr(self, name) * WRONG}), *given)

        monkeypatch.setattr(owner, method, wrong)

    return plant


longer_jobs = larger_argument(Workers, "book", 2)  # of SimPy
slower_network = larger_argument(WaitContext, "deliver", 0)  # of SimPy
later_retries = larger_argument(WaitContext, "after", 0)  # of SimPy
longer_hold = larger_argument(WaitContext, "hold", 0)  # of SimPy
longer_grid = larger_field(Grid, "next_check", "interval")  # of SimPy
larger_factor = larger_field(Intervals, "interval", "factor")  # engines and the closed form


def scaled(*fields):
    """Return a plant: fields that the compiled engine reads are 3 % too large."""

    def plant(monkeypatch):
        right = Builder.state

        def state(self):
            built = right(self)
            return built | {name: np.multiply(built[name], WRONG) for name in fields}

        monkeypatch.setattr(Builder, "state", state)

    return plant


def longer_work(monkeypatch):
    """Plant: work that is drawn takes 3 % longer (both engines)."""
    right = Scenario.draw

    def draw(self, *given):
        draws = right(self, *given)
        draws.work = {name: values * WRONG for name, values in draws.work.items()}
        return draws

    monkeypatch.setattr(Scenario, "draw", draw)


def more_operations(monkeypatch):
    """Plant: 3 % more database operations are counted."""
    right = figures.spent

    def spent(*given):
        return [
            attrs.evolve(one, database_operations=one.database_operations * WRONG)
            for one in right(*given)
        ]

    monkeypatch.setattr(figures, "spent", spent)


def likelier(purpose):
    """Return a plant: what depends on a uniform number has 3 % more of it (SimPy)."""
    factor = WRONG if purpose == "jitter" else 1 / WRONG  # below a probability more often

    def plant(monkeypatch):
        right = WaitContext.chance

        def chance(self, what, k=0):
            return right(self, what, k) * (factor if what == purpose else 1.0)

        monkeypatch.setattr(WaitContext, "chance", chance)

    return plant


def dearer(unit):
    """Return a plant: an hour or a minute has 3 % fewer seconds for the costs."""
    return lambda monkeypatch: monkeypatch.setattr(costing, unit, getattr(costing, unit) / WRONG)


def later_cut_off(monkeypatch):
    """Plant: the cut-off is later by 3 % of the ten hours from opening."""
    right = Batch.nights

    def nights(self, calendar):
        for night in right(self, calendar):
            yield attrs.evolve(night, cut_off=night.cut_off + (WRONG - 1) * 36_000)

    monkeypatch.setattr(Batch, "nights", nights)


PLANTS = [
    (longer_jobs, "simpy", "herd of 1001 checks", {"drained", "overhead_worker_time"}),
    (longer_jobs, "simpy", "keep the only worker busy", {"mean_latency"}),
    (longer_grid, "simpy", "costs of polling 6.667 min", {"mean_latency", "cost_of_lateness"}),
    (slower_network, "simpy", "2 retries", {"mean_latency"}),
    (later_retries, "simpy", "limit of 300", {"drained"}),
    (later_cut_off, "simpy", "by hand", {"missed_tonight"}),
    (more_operations, "simpy", "herd of 1001 callbacks", {"database_operations"}),
    (likelier("loss"), "simpy", "80 % lost", {"dead_letters"}),
    (likelier("duplicate"), "simpy", "80 % doubled", {"copies"}),
    (likelier("jitter"), "simpy", "jitter 5 min", {"mean_latency"}),
    (larger_factor, "simpy", "uncapped; external fixed", {"mean_latency"}),
    (larger_factor, "compiled", "uncapped; external fixed", {"mean_latency"}),
    (longer_hold, "simpy", "in turn", {"mean_latency", "connection_time"}),
    (scaled("loss"), "compiled", "80 % lost", {"dead_letters"}),
    (scaled("duplicates"), "compiled", "80 % doubled", {"copies"}),
    (scaled("jitter"), "compiled", "jitter 5 min", {"mean_latency"}),
    (scaled("poll_work"), "compiled", "5 min, random; external lognormal",
     {"overhead_worker_time"}),
    (scaled("callback_work"), "compiled", "callbacks as arrivals", {"noticing_queueing_time"}),
    (scaled("interval"), "compiled", "polling 1 min;", {"mean_latency", "checks_per_wait"}),
    (scaled("intervals"), "compiled", "backoff 1 min", {"mean_latency", "checks_per_wait"}),
    (scaled("interval"), "compiled", "long polling", {"checks_per_wait", "overhead_worker_time"}),
    (scaled("delay"), "compiled", "2 retries", {"mean_latency"}),
    (scaled("pause"), "compiled", "3 retries", {"mean_latency"}),
    (longer_work, "compiled", "herd of 8000", {"herd_queueing_time"}),
    (more_operations, "compiled", "30 % doubled", {"database_operations"}),
    (dearer("HOUR"), "compiled", "costs of polling 5 min", {"cost_of_workers"}),
    (dearer("MINUTE"), "compiled", "costs of polling 5 min", {"cost_of_lateness"}),
    (later_cut_off, "compiled", "hours before the batch", {"missed_tonight"}),
]  # fmt: skip


@pytest.mark.parametrize(("plant", "engine", "part", "caught"), PLANTS)
def test_an_engine_that_is_3_percent_wrong_is_caught(plant, engine, part, caught, monkeypatch):
    """Also where only accounts are wrong: operations, costs."""
    experiment = named(part, engine, QUICK.values())
    plant(monkeypatch)
    found = verdicts(experiment, played(1, 20, experiment))
    assert {metric for metric, said in found.items() if said == "ok"}.isdisjoint(caught), found


# --- verdicts -------------------------------------------------------------------------------------


def test_a_verdict_needs_a_whole_interval_within_the_bound():
    """A mean right on theory is not enough, nor is an interval that holds it."""
    values = [9.0, 10.0, 11.0]  # 90 % interval: 8.3 to 11.7; 95 %: 7.5 to 12.5
    assert verdict(values, 10.0, 2.0) == "ok"
    assert verdict(values, 10.0, 1.5) == "undecided"
    assert verdict(values, 12.0, 1.5) == "undecided"
    assert verdict(values, 13.0, 1.5) == "wrong"
    assert verdict(values, 12.6, 5.0) == "ok"  # equivalent, though another
    assert verdict([10.0, float("nan"), 10.0], 10.0, 1.0) == "wrong"


@pytest.mark.parametrize(("truth", "most", "least"), [(10.2, 0.05, 0.0), (10.0, 1.0, 0.99)])
def test_a_mean_off_by_the_bound_passes_one_time_in_twenty(truth, most, least):
    """And one that is right passes nearly always, with intervals as wide as those of `verify`."""
    rng, deviation = np.random.default_rng(5), 0.3 * 0.2 / 1.73 * np.sqrt(20)
    found = [verdict(list(rng.normal(truth, deviation, 20)), 10.0, 0.2) for _ in range(1000)]
    share = np.mean(np.array(found) == "ok")
    assert least <= share <= most + 3 * np.sqrt(0.05 * 0.95 / 1000)


def test_too_few_replications_decide_nothing():
    """A wide interval contains the theory by luck; the verdict is 'undecided', not 'ok'."""
    short = named("herd of 8000", "simpy", QUICK.values())
    few = attrs.evolve(short, margin=1e-6)
    found = verify(2, experiments=[few], progress=False)
    assert not found.passed
    assert set(found.table["verdict"]) == {"undecided"}
    assert "! undecided: herd of 8000" in repr(found)


def test_one_replication_is_refused():
    """A verdict needs an interval."""
    with pytest.raises(ScenarioError, match="replications must be 2 or more"):
        verify(1, experiments=islice(all_experiments(), 1), progress=False)


def test_bounds_are_below_3_percent_and_rounding_where_nothing_is_left_to_chance():
    """So that an error of 3 % lies outside, whatever the metric."""
    for experiment in all_experiments():
        for metric, value in experiment.theory.items():
            most = EXACT * max(value, 1.0) if experiment.exact else MARGIN * value
            assert experiment.bound(metric) == pytest.approx(most), (experiment.name, metric)
    assert MARGIN <= 0.02


def test_both_engines_play_every_kind():
    """Polling, herds of checks, overhead, operations, costs, cut-offs, limits, queues."""
    names = {
        engine: " | ".join(n for e, n in QUICK if e == engine) for engine in ("simpy", "compiled")
    }
    for part in (
        "polling 5 min, random", "herd of 1001 checks", "callbacks on 20", "limit of",
        "retries", "costs of", "cut-off", "keep the only worker", "8000 on 20",
    ):  # fmt: skip
        assert all(part in found for found in names.values()), part
    for engine in names:
        figures = {f for (e, _), one in QUICK.items() if e == engine for f in one.theory}
        assert figures >= {"overhead_worker_time", "database_operations", "cost", "missed_tonight"}


def test_the_table_of_the_facts_is_among_the_experiments():
    """M/M/c for five c, M/D/1, D/M/1, both batch queues, herd, every anchor, open waits."""
    names = " | ".join(experiment.name for experiment in all_experiments())
    for part in (
        "M/M/1,", "M/M/2,", "M/M/5,", "M/M/10,", "M/M/20,", "M/D/1", "D/M/1", "M^10/M/1",
        "M^10/D/1", "random", "clock", "backoff", "safety poll", "open waits", "long polling",
        "before the wait is armed", "doubled",
    ):  # fmt: skip
        assert part in names


def test_the_answer_is_readable():
    """Printed, it says how many figures are equivalent, and what that means; it is a table, too."""
    found = verify(experiments=[named("by hand", "simpy")], progress=False)
    assert "simpy: 2 of 2 metrics are equivalent to theory" in repr(found)
    assert "two one-sided tests" in repr(found)
    assert "<table" in found._repr_html_()
    assert "two one-sided tests" in found._repr_html_()


def test_experiments_give_the_same_on_several_processes(monkeypatch):
    """Theory is held against the same replications, wherever they are played."""
    few = [one for one in QUICK.values() if "compiled" in one.engine][-3:]
    monkeypatch.setattr("asyncsim.verification.verify.all_experiments", lambda quick: iter(few))
    one, two = (verify(3, quick=True, n_jobs=n, progress=False) for n in (1, 2))
    pd.testing.assert_frame_equal(one.table, two.table, check_exact=True)


@pytest.mark.parametrize("wrong", ["20", None, 2.5, True])
def test_a_wrong_number_of_replications_is_named(wrong):
    """It is a whole number."""
    with pytest.raises(ScenarioError, match=r"replications must be a whole number.*, got"):
        verify(wrong)
