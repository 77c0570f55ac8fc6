"""How many instances come to each step: expected visits, and waits that are armed.

Where a time-out, a refusal or a strategy without specification decides, the numbers need a run:
`Flow.doubt` names the reason, and `Flow.sure` the steps that come before it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

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
    visits, armed
        By name of the step.
    doubt
        Why the numbers are not known, if they are not.
    """

    resumed: dict[str, float]
    """Share of the waits of each step that resume; NaN if it is not known."""
    gives_up: bool = False
    """Whether a wait may be given up after its last check."""
    doubt: str = ""
    visits: dict[str, float] = field(factory=dict)
    armed: dict[str, float] = field(factory=dict)
    sure: set[str] = field(factory=set)
    """Steps before any doubt: their visits are exact."""

    def through(self, elements: Sequence[Element], reach: float) -> float:
        """Add elements reached with a probability; return that with which they are left."""
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
                if reach and may_fail(element, self.gives_up):
                    self.doubt = f"a branch of {element.name!r} may fail and end the others"
                on = reach
                for branch in element.branches:
                    left = self.through(branch, reach)
                    on *= left / reach if reach else 1.0
                return on
        self.doubt = f"{type(element).__name__} is not known"
        return reach

    def _path(self, path: Path, reach: float) -> float:
        if isinstance(path, str):
            return reach if path == "continue" else 0.0
        return self.through(path, reach)

    def _visit(self, name: str, reach: float) -> None:
        self.visits[name] = reach
        if not self.doubt:
            self.sure.add(name)

    def _call(self, step: AsyncStep, reach: float) -> float:
        self._visit(step.name, reach)
        response = step.response
        armed = self.through(step.on_accepted, reach * response.accepted)
        self.armed[step.name] = armed
        if step.timeout is not None and armed:
            self.doubt = f"{step.name!r} may time out"
        elif self.gives_up and armed:
            self.doubt = self.doubt or f"{step.name!r} may be given up"
        self._path(step.on_timeout, 0.0)  # without one, none come to its steps
        if math.isnan(self.resumed[step.name]) and armed:
            self.doubt = f"{step.system} is overloaded: how much of each step passes is not known"
            armed = 0.0
        on = armed * self.resumed[step.name] if armed else 0.0
        on += self._path(step.on_done, reach * response.done)
        return on + self._path(step.on_rejected, reach * response.rejected)


def may_fail(element: Element, given_up: bool) -> bool:
    """Return whether an element, or one within it, may end its instance as failed."""
    if any(may_fail(part, given_up) for part in element.within()):
        return True
    if not isinstance(element, AsyncStep):
        return False
    late = given_up or element.timeout is not None
    ways = [(element.response.done, element.on_done), (late, element.on_timeout)]
    ways += [(element.response.rejected, element.on_rejected)]
    return any(chance and path == "fail" for chance, path in ways)


def gives_up(strategy: Strategy) -> bool:
    """Return whether a strategy may give a wait up after its last check."""
    found = known_specification(strategy)
    schedule = found.schedule if found else None
    return found is None or (schedule is not None and schedule.limit is not None)


def interrupted(scenario: Scenario, given_up: bool) -> set[str]:
    """Return the waits that a failure in another branch may cancel."""
    found: set[str] = set()
    for parallel in scenario.process.of_type(Parallel):
        if may_fail(parallel, given_up):
            calls = [part for part in parallel.parts() if isinstance(part, AsyncStep)]
            found.update(call.name for call in calls)
    return found


def flow_of(scenario: Scenario, strategy: Strategy, served: dict[str, float]) -> Flow:
    """Return the flow of a scenario.

    Parameters
    ----------
    scenario, strategy
        What is explained.
    served
        Share of the requests that an overloaded system completes, by its name; NaN if that is not
        known.
    """
    resumed, doubt = resumed_share(scenario, strategy)
    calls = scenario.process.of_type(AsyncStep)
    limited = gives_up(strategy)
    flow = Flow({call.name: resumed * served.get(call.system, 1.0) for call in calls}, limited)
    flow.through(scenario.process.steps, 1.0)
    doubt = doubt or early_callbacks(scenario, strategy)
    if doubt and any(flow.armed.values()):
        first = Flow(
            dict.fromkeys(flow.resumed, 0.0), limited
        )  # nothing is known of what follows a wait
        first.through(scenario.process.steps, 1.0)
        flow.sure = {name for name in flow.sure if first.visits[name] == flow.visits[name]}
        flow.doubt = doubt or flow.doubt
    return flow


def resumed_share(scenario: Scenario, strategy: Strategy) -> tuple[float, str]:
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


def early_callbacks(scenario: Scenario, strategy: Strategy) -> str:
    """Return why callbacks may come before their wait is armed, and be lost."""
    policy, found = scenario.server.policy, known_specification(strategy)
    kept = policy.early == "buffer" and policy.buffer_for is None
    if found is None or found.checks is not None or kept:
        return ""
    for call in scenario.process.of_type(AsyncStep):
        if call.on_accepted or call.arm_delay:
            return f"a callback may come before the wait of {call.name!r} is armed"
    return ""
