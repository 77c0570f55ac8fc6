"""Simulate, teach and rehearse how a workflow step waits for the outside world.

>>> import asyncsim as sim
>>> scenario = sim.Scenario(
...     name="nightly ledger",
...     process=sim.Process("order to cash", [sim.AsyncStep("post", system="ledger")]),
...     systems={"ledger": sim.NightlyBatch(start="22:00", item_time="150ms")},
...     arrivals=sim.Poisson("200/day", between=("08:00", "20:00")),
... )
>>> comparison = sim.compare(
...     scenario, [sim.Callback(), sim.Polling("15min")], replications=3, progress=False
... )
>>> comparison.strategies
['callback', 'polling 15 min']

Begin with `Scenario`, `explain`, `simulate` and `compare`; `live` starts a session whose steps are
finished by serial number, `fit` reads a log, and `fewest_workers` and its neighbours answer a
planner's questions. ARCHITECTURE.md shows the rooms of the package.
"""

from importlib.metadata import version as _version

from asyncsim.calibration.check import Check
from asyncsim.calibration.fit import Fit, fit
from asyncsim.capacity.best_checks import BestChecks, best_checks
from asyncsim.capacity.explain import Explanation, explain
from asyncsim.capacity.herd import HerdDrain, herd_drain
from asyncsim.capacity.questions import (
    Capacity,
    cheapest_interval,
    fewest_workers,
    largest_volume,
    longest_interval,
)
from asyncsim.capacity.tradeoffs import Frontier, break_even, frontier
from asyncsim.engine.run import Run
from asyncsim.engine.simulation import Simulation
from asyncsim.engine.waits import Answer, State, Wait, Waits
from asyncsim.errors import (
    AlreadyFinished,
    AsyncsimError,
    CensoredWarning,
    EngineError,
    LogWarning,
    NotArmedYet,
    PrecisionWarning,
    ScenarioError,
    SerialNumberError,
    SteadyStateWarning,
    StoreError,
    UnknownSerialNumber,
    WaitExpired,
)
from asyncsim.eventlog.write import write_event_log
from asyncsim.experiment.compare import Comparison, compare
from asyncsim.experiment.precision import NeededReplications, replications_for
from asyncsim.experiment.simulate import simulate
from asyncsim.experiment.statistics import QuantileInterval, quantile_interval
from asyncsim.live.endpoint import serve as _serve
from asyncsim.live.open import Replay, finish_in_store, live, replay
from asyncsim.live.records import OutgoingCall
from asyncsim.live.session import Session
from asyncsim.model.arrivals import (
    Arrivals,
    ArrivalTimes,
    Poisson,
    Regular,
    UniformArrivals,
    WeeklyPoisson,
)
from asyncsim.model.closed_forms import Expected
from asyncsim.model.distributions import (
    Duration,
    empirical,
    exponential,
    fixed,
    gamma,
    lognormal,
    uniform,
)
from asyncsim.model.loops import Delay, FirstOf, ForEach, Quorum, Repeat, Retry
from asyncsim.model.mixed_strategies import Strategies
from asyncsim.model.outages import Outage
from asyncsim.model.process import AsyncStep, Branch, Choice, Parallel, Process, Response, Step
from asyncsim.model.profiles import Profile, profiles
from asyncsim.model.random_streams import Draws
from asyncsim.model.request_log import RequestLog
from asyncsim.model.scenario import Scenario
from asyncsim.model.senders import Sender, senders
from asyncsim.model.server import (
    CostModel,
    FinishPolicy,
    SharedStore,
    WorkflowServer,
    cost_presets,
)
from asyncsim.model.strategies import (
    Backoff,
    Callback,
    CallbackWithSafetyPoll,
    CheckingStrategy,
    LongPolling,
    Polling,
    PollingAfter,
    PollingAt,
    ServerDirected,
    SharedPoll,
    Strategy,
)
from asyncsim.model.systems import (
    Chain,
    ExternalSystem,
    LoggedCompletions,
    NightlyBatch,
    OnlineService,
    People,
)
from asyncsim.studies.report import report
from asyncsim.studies.steady_state import SteadyState, steady_state
from asyncsim.studies.sweep import Sweep, sweep
from asyncsim.widgets import console as _console
from asyncsim.widgets import explore
from asyncsim.widgets import view as _view

__version__ = _version("asyncsim")

# The top floor attaches to sessions what the rooms above them open
Session.console, Session.view, Session.serve = _console, _view, _serve

__all__ = [
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
