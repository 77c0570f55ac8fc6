"""How many instances come to each step: expected visits, and waits that are armed.

Where a time-out, a refusal or a strategy without specification decides, the numbers need a run:
`Flow.doubt` is the reason, and `Flow.sure` the steps that come before it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from attrs import evolve, field, mutable

from asyncsim.capacity.noticing import Noticing, may_fail
from asyncsim.model.loops import Delay, ForEach, Repeat, Retry
from asyncsim.model.process import AsyncStep, Choice, Element, Parallel, Path, Step


@mutable
class Flow:
    """Expected executions of each step, and armed waits, for one arriving instance."""

    noticing: Noticing
    resumed: Mapping[str, float]  # share of a step's waits that resume, of those completed
    most: Mapping[str, float]  # items per instance that a system completes, if one step calls it
    stuck: Collection[str]  # overloaded systems that complete an unknown share of each step
    doubt: str = ""  # why the numbers are not known, if they are not
    visits: dict[str, float] = field(factory=dict)
    armed: dict[str, float] = field(factory=dict)
    sure: set[str] = field(factory=set)  # steps before any doubt, whose visits are exact
    open: set[str] = field(factory=set)  # steps with waits that never end
    repeats: bool = False  # whether the present elements are played several times

    def through(self, path: Path, reach: float) -> float:
        """Add elements reached with a probability; return that with which they are left."""
        if isinstance(path, str):
            return reach if path == "continue" else 0.0
        for element in path:
            reach = self._element(element, reach)
        return reach

    def _element(self, element: Element, reach: float) -> float:
        match element:
            case Step():
                self._visit(element.name, reach)
                return reach
            case AsyncStep():
                return self._call(element, reach)
            case Choice(branches=ways):
                return sum(self.through(one.steps, reach * one.probability) for one in ways)
            case Parallel():
                if reach and may_fail(element, self.noticing.late):
                    self.doubt = f"a branch of {element.name!r} may fail and end the others"
                on = reach
                for branch in element.branches:
                    left = self.through(branch, reach)
                    on *= left / reach if reach else 1.0
                return on
            case Delay():
                return reach
            case Retry() | Repeat() | ForEach():
                around, self.repeats = self.repeats, True
                left = self._loop(element, reach)
                self.repeats = around
                return left
        self.doubt = f"{type(element).__name__} {element.name!r} has no formula"
        self.through(tuple(element.within()), reach)
        return reach

    def _loop(self, loop: Retry | Repeat | ForEach, reach: float) -> float:
        """Add each round, attempt or item, with the share of the instances that come to it."""
        on, chance = 0.0, 1.0
        if isinstance(loop, Retry):
            step, again = loop.step, evolve(loop.step, on_rejected="fail")
            for _ in range(loop.attempts - 1):
                on += self.through((again,), reach)
                reach *= step.response.rejected
            return on + self.through((step,), reach)
        if isinstance(loop, Repeat):
            for _ in range(loop.most - 1):
                left = self.through(loop.steps, reach)
                on += left * loop.until_probability
                reach = left * (1 - loop.until_probability)
            return on + self.through(loop.steps, reach)
        if reach and may_fail(loop, self.noticing.late):
            self.doubt = f"a branch of {loop.name!r} may fail and end the others"
        mean = loop.mean_count
        left = self.through(loop.steps, reach * mean)
        chance = left / (reach * mean) if reach * mean else 1.0
        return reach * sum(share * chance**number for number, share in loop.chances)

    def _visit(self, name: str, reach: float) -> None:
        self.visits[name] = self.visits.get(name, 0.0) + reach
        if not self.doubt:
            self.sure.add(name)

    def _call(self, step: AsyncStep, reach: float) -> float:
        self._visit(step.name, reach)
        response, items = step.response, reach * step.response.accepted
        armed = before = self.through(step.on_accepted, items)
        self.armed[step.name] = self.armed.get(step.name, 0.0) + armed
        if step.name in self.noticing.late and armed:
            self.doubt = f"{step.name!r} may time out"
        self.through(step.on_timeout, 0.0)  # without a time-out, none come to its steps
        if step.system in self.stuck and armed:
            self.doubt = f"{step.system!r} is overloaded: how much of each step passes is not known"
            armed = 0.0
        if step.system in self.most and self.repeats:
            if self.visits[step.name] * response.accepted > self.most[step.system]:
                self.doubt = f"{step.system!r} is overloaded: how much of it passes is not known"
        elif step.system in self.most and items > self.most[step.system]:
            armed *= self.most[step.system] / items
        resumed = self.resumed[step.name]
        if armed * resumed < before:
            self.open.add(step.name)
        on = armed * resumed + self.through(step.on_done, reach * response.done)
        return on + self.through(step.on_rejected, reach * response.rejected)


def flow_of(noticing: Noticing, most: Mapping[str, float], stuck: Collection[str]) -> Flow:
    """Return the flow of a scenario; see `Flow` for the arguments."""
    steps = noticing.scenario.process.steps
    flow = Flow(noticing, noticing.resumed, most, stuck)
    flow.doubt = "instances may time out" * (noticing.scenario.process.timeout is not None)
    flow.through(steps, 1.0)
    if noticing.doubt and any(flow.armed.values()):  # nothing is known of what follows a wait
        first = Flow(noticing, dict.fromkeys(noticing.resumed, 0.0), {}, ())
        first.through(steps, 1.0)
        flow.sure = {name for name in flow.sure if first.visits[name] == flow.visits[name]}
        flow.doubt = noticing.doubt
    return flow
