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
"""

from importlib.metadata import version as _version

from asyncsim.engine.run import Run
from asyncsim.engine.simpy_engine import Simulation
from asyncsim.engine.simulate import simulate
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
from asyncsim.live.opening import finish_in_store, live
from asyncsim.live.replay import Replay, replay
from asyncsim.live.responses import OutgoingCall
from asyncsim.live.session import Session
from asyncsim.model.arrivals import Arrivals, At, Poisson, Regular, Scattered, WeeklyPoisson
from asyncsim.model.costs import CostModel, cost_presets
from asyncsim.model.draws import Draws
from asyncsim.model.durations import (
    Duration,
    empirical,
    exponential,
    fixed,
    gamma,
    lognormal,
    uniform,
)
from asyncsim.model.expectations import Expected
from asyncsim.model.process import AsyncStep, Branch, Choice, Parallel, Process, Response, Step
from asyncsim.model.profiles import Profile, profiles
from asyncsim.model.request_log import RequestLog
from asyncsim.model.scenario import Scenario
from asyncsim.model.server import FinishPolicy, WorkflowServer
from asyncsim.model.strategies import (
    Backoff,
    Callback,
    CallbackWithSafetyPoll,
    LongPolling,
    Polling,
)
from asyncsim.model.systems import (
    Chain,
    ExternalSystem,
    NightlyBatch,
    OnlineService,
    People,
    Recorded,
)
from asyncsim.model.waiting import CheckingStrategy, Strategy
from asyncsim.study.calibration.checking import Check
from asyncsim.study.calibration.fit import fit
from asyncsim.study.calibration.result import Fit
from asyncsim.study.capacity.answers import Capacity
from asyncsim.study.capacity.break_even import break_even
from asyncsim.study.capacity.cheapest import cheapest_interval
from asyncsim.study.capacity.frontier import Frontier, frontier
from asyncsim.study.capacity.herd import HerdDrain, herd_drain
from asyncsim.study.capacity.limits import fewest_workers, largest_volume, longest_interval
from asyncsim.study.compare import compare
from asyncsim.study.comparison import Comparison
from asyncsim.study.event_logs.write import write_event_log
from asyncsim.study.output.quantiles import QuantileInterval, quantile_interval
from asyncsim.study.output.replications_for import NeededReplications, replications_for
from asyncsim.study.output.settled import SteadyState
from asyncsim.study.output.steady_state import steady_state
from asyncsim.study.reporting.page import report
from asyncsim.study.sweep import Sweep, sweep
from asyncsim.widgets.exploring import explore

__version__ = _version("asyncsim")

__all__ = [
    "AlreadyFinished",
    "Answer",
    "Arrivals",
    "AsyncStep",
    "AsyncsimError",
    "At",
    "Backoff",
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
    "Draws",
    "Duration",
    "EngineError",
    "Expected",
    "ExternalSystem",
    "FinishPolicy",
    "Fit",
    "Frontier",
    "HerdDrain",
    "LogWarning",
    "LongPolling",
    "NeededReplications",
    "NightlyBatch",
    "NotArmedYet",
    "OnlineService",
    "OutgoingCall",
    "Parallel",
    "People",
    "Poisson",
    "Polling",
    "PrecisionWarning",
    "Process",
    "Profile",
    "QuantileInterval",
    "Recorded",
    "Regular",
    "Replay",
    "RequestLog",
    "Response",
    "Run",
    "Scattered",
    "Scenario",
    "ScenarioError",
    "SerialNumberError",
    "Session",
    "Simulation",
    "State",
    "SteadyState",
    "SteadyStateWarning",
    "Step",
    "StoreError",
    "Strategy",
    "Sweep",
    "UnknownSerialNumber",
    "Wait",
    "WaitExpired",
    "Waits",
    "WeeklyPoisson",
    "WorkflowServer",
    "break_even",
    "cheapest_interval",
    "compare",
    "cost_presets",
    "empirical",
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
    "simulate",
    "steady_state",
    "sweep",
    "uniform",
    "write_event_log",
]
