"""The least work that an instance is to the workers, by what is described: a lower bound.

Runs measure the work with chance in it. What must be done whatever happens can be told without:
steps and calls that are surely come to, by the mean of their law, and one callback or check each.

A wait that times out may spare the workers what comes after it: whoever has too much to do has less
of it then. What comes after counts as far as waits surely resume: because the time-out goes on as
well, because noticing in time needs no worker, or because a target is not met otherwise.
"""

from __future__ import annotations

from collections.abc import Sequence

from attrs import frozen

from asyncsim.model.durations import Fixed
from asyncsim.model.process import AsyncStep, Choice, Element, Parallel, Path, Step
from asyncsim.model.scenario import Scenario
from asyncsim.model.strategies import (
    Backoff,
    Callback,
    CallbackWithSafetyPoll,
    LongPolling,
    Polling,
)
from asyncsim.model.systems import SYSTEMS, OnlineService
from asyncsim.model.waiting import Strategy


def least_work(scenario: Scenario, strategy: Strategy, lost: float = 1.0) -> float:
    """Return the worker time of an instance, in seconds: on average it is at least so much.

    Parameters
    ----------
    scenario, strategy
        What is played.
    lost
        The largest share of all waits that never resume. Each of them spares no more than the work
        of all that is described.

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
    >>> least_work(scenario, sim.Callback(loss=0.1), lost=0.0)  # unless none is
    4201.0
    """
    steps = scenario.process.steps
    work = _Walk(scenario, strategy).through(steps)[0]
    if lost >= 1:
        return work
    walk = _Walk(scenario, strategy, all_resume=True)
    waits = len(scenario.process.of_type(AsyncStep))
    return max(work, walk.through(steps)[0] - lost * waits * walk.everything)


@frozen
class _Walk:
    """Gives, for parts of a process, the least work in them and the least chance to go on.

    Attributes
    ----------
    all_resume
        Take every wait to resume.
    """

    scenario: Scenario
    strategy: Strategy
    all_resume: bool = False

    def through(self, elements: Sequence[Element]) -> tuple[float, float]:
        work, chance = 0.0, 1.0
        for element in elements:
            more, on = self._element(element)
            work, chance = work + chance * more, chance * on
        return work, chance

    @property
    def everything(self) -> float:
        """The work of all that is described: no way through the process has more."""
        parts = list(self.scenario.process.parts())
        steps = sum(part.work.mean for part in parts if isinstance(part, Step))
        calls = [part.call_work.mean for part in parts if isinstance(part, AsyncStep)]
        return steps + sum(calls) + len(calls) * self._notice

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
            (response.accepted, *self._wait(step)),
            (response.done, *self._path(step.on_done)),
            (response.rejected, *self._path(step.on_rejected)),
        ]
        if step.timeout is not None and step.arm == "before call" and not self.all_resume:
            work, on = self._path(step.on_timeout)  # it may be over before there is a response
            ways = [(p, min(w, work), min(c, on)) for p, w, c in ways]
        work = step.call_work.mean + sum(p * w for p, w, _ in ways)
        return work, sum(p * c for p, _, c in ways)

    def _wait(self, step: AsyncStep) -> tuple[float, float]:
        work, on = self.through(step.on_accepted)
        chance = 1.0 if self.all_resume else self._chance(step)
        late, goes_on = (0.0, 0.0) if step.timeout is None else self._path(step.on_timeout)
        least = min(self._notice, chance * self._notice + (1 - chance) * late)
        return work + on * least, on * (chance + (1 - chance) * goes_on)

    def _chance(self, step: AsyncStep) -> float:
        """Return the chance that the wait surely has to end with its completion.

        With a time-out there is one only where nobody who may be busy is needed: neither a worker
        to notice, nor a lane outside.
        """
        if not self._resumes(step):
            return 0.0
        if step.timeout is None:
            return 1.0
        system, strategy = self.scenario.systems[step.system], self.strategy
        alone = type(system) is OnlineService and system.lanes is None
        if not alone or self._notice or step.arm == "before call":
            return 0.0
        if type(strategy) is Callback and isinstance(strategy.delay, Fixed):
            later = strategy.delay.value
        elif type(strategy) is Polling:
            later = strategy.interval + strategy.jitter
        else:
            return 0.0
        left = (step.timeout - later) * (1 - 1e-9)  # at the same instant it may be too late
        return 1.0 - float(system.item_time.survival(left)) if left > 0 else 0.0

    def _resumes(self, step: AsyncStep) -> bool:
        """Tell whether the wait surely ends with its completion, if it may last for ever."""
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
        return server.poll_work if type(self.strategy) in (Polling, Backoff, LongPolling) else 0.0
