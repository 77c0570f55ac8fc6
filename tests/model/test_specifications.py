"""Strategies and systems describe themselves; readers know a kind or cannot tell of it."""

import inspect
import math
import os
import shutil
import subprocess
import sys
from pathlib import Path

import attrs
import pytest
from plays import scenario_of

import asyncsim as sim
from asyncsim.calibration.check import metrics_of
from asyncsim.capacity.herd import herds_of
from asyncsim.engine.contexts import CheckFastForward
from asyncsim.engine.loads import Asked, shares
from asyncsim.engine.simulation import Simulation
from asyncsim.errors import EngineError, ScenarioError
from asyncsim.experiment.stability import least_work, near_full_load, unbounded
from asyncsim.fast.layout import unplayed
from asyncsim.live.real_time_clock import next_batch
from asyncsim.model.specifications import (
    Deliveries,
    Grid,
    Hold,
    Intervals,
    Kind,
    Service,
    StrategySpecification,
)
from asyncsim.model.strategies import STRATEGIES, schedule_of, specification_of
from asyncsim.model.systems import SYSTEMS, links_of, single_link
from asyncsim.widgets.explorer import Exploration, closed_form

STEP = [sim.AsyncStep("w", "out")]
SERVICE = sim.OnlineService("7min", lanes=None)
EXAMPLES = {
    sim.Callback: sim.Callback("2s", loss=0.1, retries=["5s"], duplicates=0.1),
    sim.Polling: sim.Polling("1min", "clock", jitter="5s"),
    sim.Backoff: sim.Backoff("2s", 3, "1h", "decorrelated", limit=100),
    sim.PollingAfter: sim.PollingAfter(["8h", "1min"]),
    sim.PollingAt: sim.PollingAt(["22:15", "23:00"], days="Mon-Fri"),
    sim.LongPolling: sim.LongPolling("30s"),
    sim.ServerDirected: sim.ServerDirected("1min", at_least="2s", at_most="2h", error=0.3),
    sim.SharedPoll: sim.SharedPoll("1min", most=5, anchor="random"),
    sim.CallbackWithSafetyPoll: sim.CallbackWithSafetyPoll("2s", loss=0.5, every="10min"),
    sim.NightlyBatch: sim.NightlyBatch("22:00", "1s", lanes=2, end="23:00", results="at end"),
    sim.OnlineService: sim.OnlineService("2s", lanes=3),
    sim.People: sim.People(2, "1min", between=("09:00", "17:00")),
    sim.LoggedCompletions: sim.LoggedCompletions([60.0, 90.0], ["1_31", "2_31"]),
    sim.Chain: sim.Chain([sim.OnlineService("2s"), sim.NightlyBatch("22:00", "1s")]),
}
CLASSES = [*STRATEGIES.values(), *SYSTEMS.values()]


@attrs.frozen
class Dice:
    """A kind that no reader knows."""

    sides: int = 6


class Gambler(sim.Strategy):
    """A strategy whose checks are of an unknown kind."""

    specification = StrategySpecification(Dice())

    def wait(self, step):
        while not (yield from step.check()):
            yield step.after(60.0)


class Pigeon(sim.Strategy):
    """A strategy whose deliveries are of an unknown kind."""

    specification = StrategySpecification(deliveries=Dice())

    def notify(self, step):
        yield from step.deliver(60.0)


class Casino(sim.OnlineService):
    """A system of an unknown kind."""

    specification = (Dice(),)


def instance(cls, of):
    """Return an instance of a subclass with the fields of the example of its base."""
    example = EXAMPLES[of]
    fields = {one.alias: getattr(example, one.name) for one in attrs.fields(of)}
    return cls(**fields)


def scenario(system=SERVICE):
    """Return a scenario of one wait on one system."""
    return scenario_of(STEP, {"out": system}, poll_work=0.0, arrivals=(0.0, 90.0))


# --- what a specification stands for --------------------------------------------------------------


@pytest.mark.parametrize("cls", CLASSES)
def test_every_built_in_class_has_a_specification_of_its_own(cls):
    """It has the values of the fields; two equal instances have equal ones."""
    example = EXAMPLES[cls]
    read = links_of if isinstance(example, sim.ExternalSystem) else specification_of
    assert None not in (read(example), *read(example)) if read is links_of else read(example)
    assert read(example) == read(attrs.evolve(example))
    changed = attrs.evolve(example)
    assert changed == example
    assert hash(read(example)) == hash(read(changed))


def test_the_kinds_of_the_built_in_strategies():
    """Each field arrives in the kind it belongs to."""
    found = specification_of(EXAMPLES[sim.Polling])
    assert found == StrategySpecification(Grid(60, "clock", jitter=5))
    assert specification_of(EXAMPLES[sim.Backoff]).checks == Intervals(
        2, 3, 3600, "decorrelated", limit=100
    )
    assert specification_of(EXAMPLES[sim.LongPolling]).checks == Hold(30)
    delivered = Deliveries(sim.fixed(2), loss=0.1, retries=[5], duplicates=0.1)
    assert specification_of(EXAMPLES[sim.Callback]) == StrategySpecification(None, delivered)
    both = specification_of(EXAMPLES[sim.CallbackWithSafetyPoll])
    assert both == StrategySpecification(Grid(600), Deliveries(sim.fixed(2), loss=0.5))


@pytest.mark.parametrize("cls", STRATEGIES.values())
def test_a_specification_has_both_sides_of_its_strategy(cls):
    """It has checks if the server acts during the wait, and deliveries if the system notifies."""
    found = specification_of(EXAMPLES[cls])
    assert EXAMPLES[cls].polls == (found.checks is not None)
    assert EXAMPLES[cls].notifies == (found.deliveries is not None)


def test_a_chain_has_one_specification_for_each_link():
    """Chains in a chain are laid out flat; a link of a subclass has None in its place."""

    class Elsewhere(sim.OnlineService):
        pass

    inner = sim.Chain([sim.OnlineService(1), Elsewhere(2)])
    found = links_of(sim.Chain([inner, sim.OnlineService(3)]))
    assert found == (Service(1), None, Service(3))
    assert single_link(sim.OnlineService(3)) == Service(3)
    assert single_link(inner) is None


def test_a_kind_has_no_subclasses():
    """A reader that knows a grid would take a subclass of it for one, or a strategy that is one."""
    with pytest.raises(TypeError, match="Shifted: a kind of specification has no subclasses"):

        class Shifted(Grid):
            pass

    class Odd(sim.Strategy):
        specification = StrategySpecification(Late(60))

    class OddSystem(sim.OnlineService):
        specification = (SERVICE,)

    with pytest.raises(ScenarioError, match=r"^Odd\.specification must be a StrategySpec"):
        specification_of(Odd())
    with pytest.raises(ScenarioError, match=r"^OddSystem\.specification must be a tuple"):
        links_of(OddSystem(60))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Grid(0), "Grid.interval must be positive, got 0"),
        (lambda: Grid(60, jitter=61), "Grid.jitter must not exceed the interval"),
        (lambda: Grid(60, "noon"), "Grid.anchor must be one of"),
        (lambda: Intervals(10, cap=5), "Intervals.cap must be at least first"),
        (lambda: Intervals(10, 0.5), "Intervals.factor must be 1 or more"),
        (lambda: Hold(0), "Hold.hold must be positive"),
        (lambda: Deliveries(loss=2), "Deliveries.loss must be a probability"),
        (lambda: Service(-1), "Service.item_time must not be negative"),
    ],
)
def test_values_of_specifications_are_checked(make, message):
    """Authors of strategies get the messages that users of the built-in ones get."""
    with pytest.raises(ScenarioError, match=f"^{message}"):
        make()


@pytest.mark.parametrize("wrong", ["daily", 5, Grid(60)])
def test_a_specification_of_another_type_is_refused_by_name(wrong):
    """An attribute of that name that stands for something else is not read."""

    class Odd(sim.Polling):
        specification = wrong

    class OddSystem(sim.OnlineService):
        specification = wrong

    with pytest.raises(ScenarioError, match=r"^Odd\.specification must be a StrategySpec"):
        specification_of(Odd(60))
    with pytest.raises(ScenarioError, match=r"^OddSystem\.specification must be a tuple"):
        links_of(OddSystem(60))
    OddSystem.specification = (Service(1), Service(2))
    with pytest.raises(ScenarioError, match=r"^OddSystem\.specification must have 1 value"):
        links_of(OddSystem(60))


# --- subclasses -----------------------------------------------------------------------------------


def overridable(cls):
    """Return the names of all methods and properties of a class that a subclass can override."""
    found = {name for base in cls.__mro__[:-1] for name in vars(base) if not name.startswith("__")}
    fields = {one.name for one in attrs.fields(cls)}
    return sorted(name for name in found - fields if not name.startswith("_abc"))


OVERRIDES = [(cls, name) for cls in CLASSES for name in overridable(cls) if name != "specification"]


def passes_on(cls, name):
    """Return a subclass that overrides one method or property, and does what its base does."""
    own = inspect.getattr_static(cls, name)
    if inspect.isfunction(own):
        body = {name: lambda self, *a, **k: getattr(super(sub, self), name)(*a, **k)}
    else:
        body = {name: property(lambda self: getattr(super(sub, self), name))}
    sub = type(f"Own{cls.__name__}", (cls,), body)
    return sub


@pytest.mark.parametrize(("cls", "name"), OVERRIDES)
def test_a_subclass_with_anything_overridden_never_plays_as_its_base(cls, name):
    """Whatever it overrides, the compiled engine refuses it by name; SimPy plays it under auto."""
    sub = passes_on(cls, name)
    own = instance(sub, cls)
    if isinstance(own, sim.Strategy):
        played, strategy = scenario(), own
        assert specification_of(own) is None
    else:
        played, strategy = scenario(own), sim.Polling("1min")
        assert set(links_of(own)) == {None}
    assert unplayed(played, strategy) == [sub.__name__]
    with pytest.raises(EngineError, match=f"got {sub.__name__};"):
        sim.simulate(played, strategy, engine="compiled")
    runs = [sim.simulate(played, strategy, engine=engine) for engine in ("auto", "simpy")]
    assert [run.engine for run in runs] == ["simpy"] * 2
    if isinstance(own, sim.Strategy):  # it still does what its base does
        base = sim.simulate(played, EXAMPLES[cls], engine="simpy")
        assert base.waits.resumed.equals(runs[1].waits.resumed)
        assert unbounded(played, own)
        assert own.expected(60.0) is None


class Late(sim.Polling):
    """Checks an hour after each grid point."""

    def next_check(self, step):
        return super().next_check(step) + 3600.0


def test_a_listed_subclass_does_not_play_as_its_base(monkeypatch):
    """Late polling is late by most of an hour, polling by a minute at most, listed or not."""
    monkeypatch.setitem(STRATEGIES, "late polling", Late)
    runs = [sim.simulate(scenario(), Late("1min"), engine=engine) for engine in ("auto", "simpy")]
    plain = sim.simulate(scenario(), sim.Polling("1min"))
    assert (runs[0].waits.latency > 3000).all()
    assert (plain.waits.latency < 60).all()
    assert runs[0].waits.equals(runs[1].waits)
    with pytest.raises(EngineError, match="got Late;"):
        sim.simulate(scenario(), Late("1min"), engine="compiled")


def test_a_subclass_with_a_specification_of_its_own_is_read():
    """What it declares is what both engines play."""

    class TwiceAnHour(sim.CheckingStrategy):
        specification = StrategySpecification(Grid("30min", "clock"))

    strategy = TwiceAnHour()
    assert schedule_of(strategy) == Grid("30min", "clock")
    runs = [sim.simulate(scenario(), strategy, engine=name) for name in ("simpy", "compiled")]
    assert runs[0].waits.equals(runs[1].waits)
    assert runs[0].waits.resumed.tolist() == [1800.0, 1800.0]
    assert strategy.expected(60.0) == sim.Polling("30min", "clock").expected(60.0)


# --- readers --------------------------------------------------------------------------------------


def fast_forward(strategy):
    """Return whether SimPy counts free checks without playing them."""
    return CheckFastForward.of(Simulation(scenario(), strategy)) is not None


def explorer_theory(strategy):
    """Return whether the explorer draws a mean of theory."""
    return closed_form(strategy, scenario())["theory"] is not None


def herd_theory(strategy):
    """Return whether the herd's drain has a value by theory."""
    played = scenario(sim.NightlyBatch("22:00", "1s"))
    run = sim.simulate(played, strategy)
    return bool(herds_of(run, "out", 60.0)["theory"].notna().all())


STRATEGY_READERS = {
    "compiled engine": (lambda one: not unplayed(scenario(), one), {*"GIPCHASDB"}),
    "closed form": (lambda one: one.expected(60.0) is not None, {*"GIPHDB"}),
    "bounds": (lambda one: not unbounded(scenario(), one), {*"GIPCHASDB"}),
    "explorer": (explorer_theory, {*"GIPHDB"}),
    "fast-forward": (fast_forward, {*"GIPCB"}),
    "herd": (herd_theory, {*"D"}),
}
"""What a reader answers, and the kinds it can answer for."""
KINDS = {
    "G": sim.Polling("1min", "random"),
    "I": sim.Backoff("2s"),
    "P": sim.PollingAfter(["1min"]),
    "C": sim.PollingAt(["22:15"]),
    "H": sim.LongPolling("30s"),
    "A": sim.ServerDirected("1min"),
    "S": sim.SharedPoll("1min"),
    "D": sim.Callback("2s"),
    "B": sim.CallbackWithSafetyPoll("2s", every="1min", anchor="random"),
    "unknown checks": Gambler(),
    "unknown deliveries": Pigeon(),
    "none": Late("1min"),
}


@pytest.mark.parametrize("reader", STRATEGY_READERS)
def test_readers_of_strategies(reader):
    """Each reader knows the kinds it is made for, and cannot tell of any other."""
    read, known = STRATEGY_READERS[reader]
    assert {kind for kind, strategy in KINDS.items() if read(strategy)} == known


def test_the_kinds_above_are_all_there_are():
    """A new kind has to be added to the readers and to this module."""
    made = {type(specification_of(one).checks) for one in KINDS.values() if specification_of(one)}
    made |= {type(specification_of(KINDS["D"]).deliveries), StrategySpecification}
    made |= {type(single_link(one)) for one in LINKS.values()}
    own = {kind for kind in Kind.__subclasses__() if kind.__module__.startswith("asyncsim.")}
    assert made >= own


LINKS = {
    "B": sim.NightlyBatch("22:00", "1s", results="at end"),
    "S": sim.OnlineService("2s"),
    "P": sim.People(2, "1min"),
    "C": sim.LoggedCompletions([80_000.0, 80_090.0]),
    "unknown": Casino("2s"),
    "none": type("Elsewhere", (sim.OnlineService,), {})("2s"),
}


def load(system):
    """Return whether the weekly load is known."""
    return not math.isnan(shares(scenario(system), [Asked(2, {"out": 2}, 0.0)])["out"])


def explorer_batch(system):
    """Return whether the explorer has a slider for the batch's start."""
    return "start" in Exploration(scenario(system)).settings


def fitted_nights(system):
    """Return whether a check of a fit compares nights."""
    played = scenario(system)
    run = sim.simulate(played, sim.Callback())
    steps = run.waits.rename(columns={"instance": "case"}).assign(
        arrived=0.0, queued=0.0, started=0.0, ended=run.waits.resumed
    )
    names = [what for what, _ in metrics_of(steps, played)]
    return any(name.startswith("out: start of a night") for name in names)


LINK_READERS = {
    "compiled engine": (lambda one: not unplayed(scenario(one), sim.Callback()), {*"BSPC"}),
    "bounds": (lambda one: not unbounded(scenario(one), sim.Callback()), {*"BSPC"}),
    "load": (load, {*"BSPC"}),
    "certain to resume": (lambda one: least_work(two_steps(one), sim.Callback()) > 0, {*"BSPC"}),
    "live: next batch": (lambda one: next_batch(scenario(one), 0.0) is not None, {*"B"}),
    "explorer": (explorer_batch, {*"B"}),
    "calibration": (fitted_nights, {*"B"}),
}


def two_steps(system):
    """Return a scenario whose workers have work only after the wait."""
    return scenario_of([*STEP, sim.Step("file", 10.0)], {"out": system}, arrivals=(0.0, 90.0))


@pytest.mark.parametrize("reader", LINK_READERS)
def test_readers_of_systems(reader):
    """Each reader knows the kinds it is made for, and cannot tell of any other."""
    read, known = LINK_READERS[reader]
    assert {kind for kind, system in LINKS.items() if read(system)} == known


def test_bounds_name_what_they_cannot_tell():
    """One sentence for the strategy, one for each system."""
    found = unbounded(scenario(Casino("2s")), Late("1min"))
    assert found == [
        "the workers: the checks of Late have no specification, so bounds leave them out",
        "out: Casino has no specification, so its capacity is unknown",
    ]


def test_planners_and_steady_states_show_what_bounds_cannot_tell():
    """An answer by runs has the sentence among its notes; a steady state among its doubts."""
    played = scenario().replace(arrivals=sim.Poisson("60/h"), length="1h")
    answer = sim.fewest_workers(
        played, Late("1min"), "max_latency <= 3h", between=(1, 2), replications=2, progress=False
    )
    assert unbounded(played, Late("1min"))[0] in answer.notes
    demand = [Asked(60, {"out": 60}, 0.0)]
    assert near_full_load(played, Late("1min"), demand) == unbounded(played, Late("1min"))
    assert near_full_load(played, sim.Polling("1min"), demand) == []


def test_a_link_without_a_specification_hides_no_overload():
    """What the other links of a chain cannot do is too much, whatever the unknown one can."""
    items = [Asked(2, {"out": 2}, 0.0)]
    slow = sim.Chain([sim.OnlineService("2days"), Casino("2s")])
    assert shares(scenario(slow), items)["out"] > 1
    quick = sim.Chain([sim.OnlineService("2s"), Casino("2s")])
    assert math.isnan(shares(scenario(quick), items)["out"])


class Contradictory(sim.CheckingStrategy):
    """Says that it checks on a grid, and checks otherwise."""

    specification = StrategySpecification(Grid("10min"))
    label = "contradictory"

    def next_check(self, step):
        return step.last_check + 3600.0


@pytest.mark.parametrize("engine", ["simpy", "compiled", "auto"])
def test_checks_that_are_defined_twice_are_refused(engine):
    """A schedule and a method of its own could differ, and the engines with them."""
    with pytest.raises(ScenarioError, match=r"Contradictory must define either .* got both"):
        sim.simulate(scenario(), Contradictory(), engine=engine)


# --- a new strategy -------------------------------------------------------------------------------

NEW_STRATEGY = '''
@frozen(field_transformer=name_errors)
class FromOpening(CheckingStrategy):
    """Checks every hour by the clock."""

    hours: int = field(default=1)

    @cached_property
    def specification(self) -> StrategySpecification:
        """Checks on the grid."""
        return StrategySpecification(Grid(self.hours * 3600.0, "clock", jitter=60.0))

    @property
    def label(self) -> str:
        """A short name for tables and legends."""
        return f"every {self.hours} h"


STRATEGIES: dict'''
PLAYED_ON_BOTH = """
import asyncsim as sim
from asyncsim.cli.strategy_parser import parse_strategy
from asyncsim.model.strategies import FromOpening

scenario = sim.Scenario(
    "ledger",
    sim.Process("post", [sim.AsyncStep("post", "ledger")]),
    systems={"ledger": sim.NightlyBatch("22:00", sim.exponential("20min"))},
    server=sim.WorkflowServer(2, poll_work="2s"),
    arrivals=sim.Poisson("60/day"),
    length="2 days",
)
strategy = parse_strategy("from opening hours=2")
assert strategy == FromOpening(2)
runs = [sim.simulate(scenario, strategy, engine=name, seed=5) for name in ("simpy", "compiled")]
assert [run.engine for run in runs] == ["simpy", "compiled"]
columns = ["serial_number", "armed", "completed", "resumed", "checks", "wasted_checks", "outcome"]
simpy, compiled = (run.waits[columns] for run in runs)
assert len(simpy) > 50 and simpy.checks.max() > 5
assert simpy.equals(compiled)
assert strategy.expected("1h") is None
"""


def test_a_new_strategy_on_a_grid_takes_one_file(tmp_path):
    """Its fields, its specification and its label: both engines play it, instance by instance."""
    package = Path(sim.__file__).parent
    shutil.copytree(package, tmp_path / "asyncsim", ignore=shutil.ignore_patterns("__pycache__"))
    file = tmp_path / "asyncsim" / "model" / "strategies.py"
    entry = '    "polling": Polling,\n'
    text = file.read_text(encoding="utf-8").replace("\nSTRATEGIES: dict", NEW_STRATEGY)
    text = text.replace(entry, entry + '    "from opening": FromOpening,\n')
    file.write_text(text, encoding="utf-8")
    surroundings = os.environ | {"PYTHONPATH": str(tmp_path), "ASYNCSIM_NUMBA": "0"}
    subprocess.run(
        [sys.executable, "-c", PLAYED_ON_BOTH], check=True, cwd=tmp_path, env=surroundings
    )
