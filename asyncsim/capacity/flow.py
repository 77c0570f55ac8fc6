"""How many instances come to each step: expected visits, and waits that are armed.

Where a time-out, a refusal or a strategy without specification decides, the numbers need a run:
`Flow.doubt` is the reason, and `Flow.sure` the steps that come before it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from attrs import field, mutable

from asyncsim.experiment.stability import known_specification
from asyncsim.model.process import AsyncStep, Choice, Element, Parallel, Path, Step
from asyncsim.model.scenario import Scenario
from asyncsim.model.specifications import Deliveries, Grid, Intervals
from asyncsim.model.strategies import Strategy


@mutable
class Flow:
    """Expected executions of each step, and armed waits, for one arriving instance.

    Attributes
    ----------
    resumed
        Share of the waits that resume, if their system completes them.
    most
        Items per instance that a system completes at most, if one step alone calls it.
    stuck
        Overloaded systems of which it is not known how much of each step they complete.
    late, gives_up
        Steps that may time out; whether a wait may be given up after its last check.
    doubt
        Why the numbers are not known, if they are not.
    visits, armed
        By name of the step.
    sure, open
        Steps before any doubt: their visits are exact. Steps with waits that never resume.
    """

    resumed: float
    most: Mapping[str, float]
    stuck: Collection[str]
    late: Collection[str]
    gives_up: bool
    doubt: str = ""
    visits: dict[str, float] = field(factory=dict)
    armed: dict[str, float] = field(factory=dict)
    sure: set[str] = field(factory=set)
    open: set[str] = field(factory=set)

    def through(self, elements: Path, reach: float) -> float:
        """Add elements reached with a probability; return that with which they are left."""
        if isinstance(elements, str):
            return reach if elements == "continue" else 0.0
        for element in elements:
            reach = self._element(element, reach)
        return reach

    def _element(self, element: Element, reach: float) -> float:
        match element:
            case Step():
                self._visit(element.name, reach)
                return reach
            case AsyncStep():
                return self._call(element, reach)
            case Choice():
                ways = element.branches
                return sum(self.through(one.steps, reach * one.probability) for one in ways)
            case Parallel():
                if reach and may_fail(element, self.late, self.gives_up):
                    self.doubt = f"a branch of {element.name!r} may fail and end the others"
                on = reach
                for branch in element.branches:
                    left = self.through(branch, reach)
                    on *= left / reach if reach else 1.0
                return on
        self.doubt = f"{type(element).__name__} is not known"
        return reach

    def _visit(self, name: str, reach: float) -> None:
        self.visits[name] = reach
        if not self.doubt:
            self.sure.add(name)

    def _call(self, step: AsyncStep, reach: float) -> float:
        self._visit(step.name, reach)
        response, items = step.response, reach * step.response.accepted
        armed = self.through(step.on_accepted, items)
        self.armed[step.name] = armed
        if step.name in self.late and armed:
            self.doubt = f"{step.name!r} may time out"
        elif self.gives_up and armed:
            self.doubt = self.doubt or f"{step.name!r} may be given up"
        self.through(step.on_timeout, 0.0)  # without a time-out, none come to its steps
        if step.system in self.stuck and armed:
            self.doubt = f"{step.system!r} is overloaded: how much of each step passes is not known"
            armed = 0.0
        if step.system in self.most and items > self.most[step.system]:
            armed *= self.most[step.system] / items
        self.open |= {step.name} if armed * self.resumed < self.armed[step.name] else set()
        on = armed * self.resumed
        on += self.through(step.on_done, reach * response.done)
        return on + self.through(step.on_rejected, reach * response.rejected)


def may_fail(element: Element, late: Collection[str], gives_up: bool) -> bool:
    """Return whether an element, or one within it, may end its instance as failed."""
    if any(may_fail(part, late, gives_up) for part in element.within()):
        return True
    if not isinstance(element, AsyncStep):
        return False
    response, over = element.response, gives_up or element.name in late
    ways = [(response.done, element.on_done), (response.rejected, element.on_rejected)]
    ways.append((over, element.on_timeout))
    return any(chance and path == "fail" for chance, path in ways)


def gives_up(strategy: Strategy) -> bool:
    """Return whether a strategy may give a wait up after its last check."""
    found = known_specification(strategy)
    schedule = found.schedule if found else None
    return found is None or (schedule is not None and schedule.limit is not None)


def interrupted(scenario: Scenario, late: Collection[str], gives_up: bool) -> set[str]:
    """Return the waits that a failure in another branch may cancel."""
    failing = [p for p in scenario.process.of_type(Parallel) if may_fail(p, late, gives_up)]
    return {part.name for one in failing for part in one.parts() if isinstance(part, AsyncStep)}


def flow_of(
    scenario: Scenario,
    strategy: Strategy,
    late: Collection[str] = (),
    most: Mapping[str, float] | None = None,
    stuck: Collection[str] = (),
) -> Flow:
    """Return the flow of a scenario; see `Flow` for the arguments."""
    resumed, doubt = _resumed_share(scenario, strategy)
    flow = Flow(resumed, most or {}, stuck, late, gives_up(strategy))
    flow.through(scenario.process.steps, 1.0)
    doubt = doubt or _early_callbacks(scenario, strategy)
    if doubt and any(flow.armed.values()):  # nothing is known of what follows a wait
        first = Flow(0.0, {}, (), late, flow.gives_up)
        first.through(scenario.process.steps, 1.0)
        flow.sure = {name for name in flow.sure if first.visits[name] == flow.visits[name]}
        flow.doubt = doubt
    return flow


def _resumed_share(scenario: Scenario, strategy: Strategy) -> tuple[float, str]:
    """Return the share of waits that resume, and why it is not known."""
    found = known_specification(strategy)
    if found is None:
        return 1.0, f"{type(strategy).__name__} has no specification"
    match found.checks, found.deliveries:
        case ((Grid(limit=int()) | Intervals(limit=int())), _):
            return 1.0, "waits may be given up after the last check"
        case None, None:
            return 0.0, ""
        case None, Deliveries(loss=loss, retries=retries):
            if scenario.server.finish_limit is not None:
                return 1.0, "the rate limit may refuse callbacks"
            return 1.0 - loss ** (len(retries) + 1), ""
    return 1.0, ""


def _early_callbacks(scenario: Scenario, strategy: Strategy) -> str:
    """Return why callbacks may come before their wait is armed, and be lost."""
    policy, found = scenario.server.policy, known_specification(strategy)
    kept = policy.early == "buffer" and policy.buffer_for is None
    if found is None or found.checks is not None or kept:
        return ""
    for call in scenario.process.of_type(AsyncStep):
        if call.on_accepted or call.arm_delay:
            return f"a callback may come before the wait of {call.name!r} is armed"
    return ""
