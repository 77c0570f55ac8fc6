"""The public face of the package, name by name; a change of it changes this list."""

import tomllib
from pathlib import Path

import asyncsim

NAMES = [
    "AlreadyFinished",
    "Answer",
    "ArrivalTimes",
    "Arrivals",
    "AsyncStep",
    "AsyncsimError",
    "Backoff",
    "BestChecks",
    "Branch",
    "Callback",
    "CallbackWithSafetyPoll",
    "Capacity",
    "CensoredWarning",
    "Chain",
    "Check",
    "CheckingStrategy",
    "Choice",
    "Comparison",
    "CostModel",
    "Delay",
    "Draws",
    "Duration",
    "EngineError",
    "Expected",
    "Explanation",
    "ExternalSystem",
    "FinishPolicy",
    "FirstOf",
    "Fit",
    "ForEach",
    "Frontier",
    "HerdDrain",
    "LogWarning",
    "LoggedCompletions",
    "LongPolling",
    "NeededReplications",
    "NightlyBatch",
    "NotArmedYet",
    "OnlineService",
    "Outage",
    "OutgoingCall",
    "Parallel",
    "People",
    "Poisson",
    "Polling",
    "PollingAfter",
    "PollingAt",
    "PrecisionWarning",
    "Process",
    "Profile",
    "QuantileInterval",
    "Quorum",
    "Regular",
    "Repeat",
    "Replay",
    "RequestLog",
    "Response",
    "Retry",
    "Run",
    "Scenario",
    "ScenarioError",
    "Sender",
    "SerialNumberError",
    "ServerDirected",
    "Session",
    "SharedPoll",
    "SharedStore",
    "Simulation",
    "State",
    "SteadyState",
    "SteadyStateWarning",
    "Step",
    "StoreError",
    "Strategies",
    "Strategy",
    "Sweep",
    "UniformArrivals",
    "UnknownSerialNumber",
    "Wait",
    "WaitExpired",
    "Waits",
    "WeeklyPoisson",
    "WorkflowServer",
    "best_checks",
    "break_even",
    "cheapest_interval",
    "compare",
    "cost_presets",
    "empirical",
    "explain",
    "explore",
    "exponential",
    "fewest_workers",
    "finish_in_store",
    "fit",
    "fixed",
    "frontier",
    "gamma",
    "herd_drain",
    "largest_volume",
    "live",
    "lognormal",
    "longest_interval",
    "profiles",
    "quantile_interval",
    "replay",
    "replications_for",
    "report",
    "senders",
    "simulate",
    "steady_state",
    "sweep",
    "uniform",
    "write_event_log",
]


def test_the_public_names_are_these_and_no_others():
    """`__all__` is sorted and equal to the list in this file."""
    assert asyncsim.__all__ == NAMES == sorted(NAMES)


def test_the_version_is_that_of_the_project():
    """Workers elsewhere must have the same."""
    project = Path(__file__).parent.parent / "pyproject.toml"
    written = tomllib.loads(project.read_text(encoding="utf-8"))["project"]["version"]
    assert asyncsim.__version__ == written


def test_every_public_name_can_be_imported_and_says_what_it_is():
    """Each name is there and has a docstring."""
    for name in NAMES:
        assert (getattr(asyncsim, name).__doc__ or "").strip(), name


def test_the_classes_to_subclass_and_the_errors_are_what_they_seem():
    """The tree of errors, and the bases a user extends, stand as documented."""
    sim = asyncsim
    for base in (sim.AsyncsimError, ValueError):
        assert issubclass(sim.ScenarioError, base)
    for error in (
        sim.UnknownSerialNumber,
        sim.AlreadyFinished,
        sim.NotArmedYet,
        sim.WaitExpired,
    ):
        assert issubclass(error, sim.SerialNumberError)
        assert issubclass(error, sim.AsyncsimError)
    assert issubclass(sim.EngineError, sim.AsyncsimError)
    assert issubclass(sim.StoreError, sim.AsyncsimError)
    for strategy in (sim.Callback, sim.Polling, sim.Backoff, sim.LongPolling):
        assert issubclass(strategy, sim.Strategy)
    for system in (
        sim.NightlyBatch,
        sim.OnlineService,
        sim.People,
        sim.Chain,
        sim.LoggedCompletions,
    ):
        assert issubclass(system, sim.ExternalSystem)
