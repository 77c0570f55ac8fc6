"""The least work that an instance is to the workers, by what is described: a lower bound.

Runs measure the work with chance in it. What must be done whatever happens can be told without:
steps and calls that are surely come to, by the mean of their law, and one callback or check each.
"""

from __future__ import annotations

from collections.abc import Sequence

from attrs import frozen

from asyncsim.model.process import AsyncStep, Choice, Element, Parallel, Path, Step
from asyncsim.model.scenario import Scenario
from asyncsim.model.strategies import (
    Backoff,
    Callback,
    CallbackWithSafetyPoll,
    LongPolling,
    Polling,
)
from asyncsim.model.systems import SYSTEMS
from asyncsim.model.waiting import Strategy


def least_work(scenario: Scenario, strategy: Strategy) -> float:
    """Return the worker time of an instance, in seconds: on average it is at least so much.

    Examples
    --------
    >>> import asyncsim as sim
    >>> ask = sim.AsyncStep("ask", "office", call_work="1h")
    >>> scenario = sim.Scenario(
    ...     name="calls",
    ...     process=sim.Process("call", [ask, sim.Step("file", "10min")]),
    ...     systems={"office": sim.OnlineService("1min", lanes=None)},
    ...     server=sim.WorkflowServer(8, callback_work="1s"),
    ...     arrivals=sim.Poisson("9/h"),
    ... )
    >>> least_work(scenario, sim.Callback())
    4201.0
    >>> least_work(scenario, sim.Callback(loss=0.1))  # what is lost does not go on
    3600.0
    """
    return _Walk(scenario, strategy).through(scenario.process.steps)[0]


@frozen
class _Walk:
    """Gives, for parts of a process, the least work in them and the least chance to go on."""

    scenario: Scenario
    strategy: Strategy

    def through(self, elements: Sequence[Element]) -> tuple[float, float]:
        work, chance = 0.0, 1.0
        for element in elements:
            more, on = self._element(element)
            work, chance = work + chance * more, chance * on
        return work, chance

    def _element(self, element: Element) -> tuple[float, float]:
        if isinstance(element, Step):
            return element.work.mean, 1.0
        if isinstance(element, AsyncStep):
            return self._call(element)
        if isinstance(element, Choice):
            ways = [(one.probability, *self.through(one.steps)) for one in element.branches]
            return sum(p * work for p, work, _ in ways), sum(p * on for p, _, on in ways)
        assert isinstance(element, Parallel), element
        branches = [self.through(branch) for branch in element.branches]
        if any(on < 1 for _, on in branches):  # what fails in one may break off the others
            return 0.0, 0.0
        return sum(work for work, _ in branches), 1.0

    def _path(self, path: Path) -> tuple[float, float]:
        if isinstance(path, str):
            return 0.0, 0.0 if path == "fail" else 1.0
        return self.through(path)

    def _call(self, step: AsyncStep) -> tuple[float, float]:
        response = step.response
        ways = [
            (response.accepted, self._wait(step)),
            (response.done, self._path(step.on_done)),
            (response.rejected, self._path(step.on_rejected)),
        ]
        work = sum(p * more for p, (more, _) in ways)
        return step.call_work.mean + work, sum(p * on for p, (_, on) in ways)

    def _wait(self, step: AsyncStep) -> tuple[float, float]:
        work, on = self.through(step.on_accepted)
        if step.timeout is not None or not self._resumes(step):
            return work, 0.0
        return work + on * self._notice, on

    def _resumes(self, step: AsyncStep) -> bool:
        """Tell whether the wait surely ends with its completion."""
        if type(self.scenario.systems[step.system]) not in SYSTEMS.values():
            return False  # somebody's own: it may complete nothing
        strategy = self.strategy
        if type(strategy) is Callback:  # one that comes before the wait is armed may be lost
            safe = not strategy.loss and self.scenario.server.finish_limit is None
            return safe and not step.on_accepted and not step.arm_delay
        if type(strategy) in (Polling, Backoff):
            return getattr(strategy, "limit", None) is None
        return type(strategy) in (LongPolling, CallbackWithSafetyPoll)

    @property
    def _notice(self) -> float:
        """Work of the callback or the check that ends a wait."""
        server = self.scenario.server
        if type(self.strategy) is Callback:
            return server.callback_work
        return server.poll_work if type(self.strategy) in (Polling, Backoff) else 0.0
