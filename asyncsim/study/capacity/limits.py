"""How little is enough, and how much is too much: values at which a target is just met."""

from __future__ import annotations

from typing import Any, Unpack

from asyncsim.engine.arguments import check_played, check_scenario
from asyncsim.errors import ScenarioError
from asyncsim.model.arrivals import Poisson, Scattered, WeeklyPoisson
from asyncsim.model.described import refuse
from asyncsim.model.scenario import Scenario
from asyncsim.model.strategies import Polling, Strategy
from asyncsim.study.capacity.answers import Capacity, goes_one_way
from asyncsim.study.capacity.axis import Axis, boundary, check_field
from asyncsim.study.capacity.target import Target
from asyncsim.study.capacity.trials import Effort, Options, trials
from asyncsim.study.points import reading
from asyncsim.study.statistics import Interval

LARGEST = 1024
"""More is not looked for unless `between` says so: workers, or times the present volume."""


def fewest_workers(
    scenario: Scenario,
    strategy: Strategy,
    target: str,
    *,
    between: tuple[int, int] = (1, LARGEST),
    **effort: Unpack[Options],
) -> Capacity:
    """Find the fewest workers with which a target is met.

    Every number of workers that is tried meets the same random numbers, and more workers are never
    worse, so a few trials lead to the answer.

    Parameters
    ----------
    scenario, strategy
        What is played; its own number of workers is where the search begins.
    target
        Such as ``"p95_latency <= 60s"``: of the mean over replications. A wait that never resumes
        counts as infinitely late.
    between
        Fewest and most workers to think of.
    **effort
        ``replications, seed, engine, n_jobs, confidence, progress``, as in `asyncsim.compare`.

    Returns
    -------
    Capacity
        ``value`` is where the mean meets the target, ``high`` where its whole interval does.

    Examples
    --------
    >>> import asyncsim as sim
    >>> scenario = sim.Scenario(
    ...     name="a herd",
    ...     process=sim.Process("order", [sim.AsyncStep("post", system="ledger")]),
    ...     systems={"ledger": sim.NightlyBatch("22:00", "1ms", results="at end")},
    ...     server=sim.WorkflowServer(workers=1, callback_work="1s"),
    ...     arrivals=sim.Scattered(600, between=("08:00", "20:00")),
    ... )
    >>> answer = sim.fewest_workers(
    ...     scenario, sim.Callback(), "max_latency <= 1min", replications=3, progress=False
    ... )
    >>> answer.value  # 600 callbacks of a second on ten workers take a minute
    10
    """
    axis = Axis.between("server.workers", between)
    check_played(scenario, strategy, None)
    start = float(scenario.server.workers)
    return _limit("fewest workers", scenario, strategy, target, axis, start, "high", effort)


def largest_volume(
    scenario: Scenario,
    strategy: Strategy,
    target: str,
    *,
    field: str | None = None,
    between: tuple[Any, Any] | None = None,
    **effort: Unpack[Options],
) -> Capacity:
    """Find the largest volume at which a target is still met.

    Parameters
    ----------
    scenario, strategy, target
        As in `fewest_workers`; the search begins with the scenario's own volume.
    field
        The dotted name of what stands for volume; by default the rate of Poisson arrivals or the
        number of scattered ones.
    between
        The smallest and the largest volume to think of; by default from a 1024th to 1024 times the
        scenario's own.
    **effort
        ``replications, seed, engine, n_jobs, confidence, progress``, as in `asyncsim.compare`.

    Returns
    -------
    Capacity
        ``value`` is the last volume whose mean meets the target, ``low`` the last one whose whole
        interval does.

    Examples
    --------
    >>> import asyncsim as sim
    >>> scenario = sim.Scenario(
    ...     name="a herd",
    ...     process=sim.Process("order", [sim.AsyncStep("post", system="ledger")]),
    ...     systems={"ledger": sim.NightlyBatch("22:00", "0s", results="at end")},
    ...     server=sim.WorkflowServer(workers=4, callback_work="1s"),
    ...     arrivals=sim.Scattered(100, between=("08:00", "20:00")),
    ... )
    >>> answer = sim.largest_volume(
    ...     scenario, sim.Callback(), "max_latency <= 1min", replications=2, progress=False
    ... )
    >>> answer.value  # four workers handle 240 callbacks in a minute
    240
    """
    check_played(scenario, strategy, None)
    arrivals = scenario.arrivals
    own: Any = None
    if isinstance(arrivals, Poisson):
        own = ("arrivals.rate", str(arrivals.rate))
    elif isinstance(arrivals, WeeklyPoisson):
        own = ("arrivals.volume", arrivals.volume)
    elif isinstance(arrivals, Scattered):
        own = ("arrivals.count", arrivals.count)
    if field is None and own is None:
        raise ScenarioError(
            f"field must be given for arrivals of class {type(arrivals).__name__}: the dotted name "
            "of what stands for volume"
        )
    present = reading(own[1]) if own and field in (None, own[0]) else None
    if between is None:
        if present is None:
            raise refuse("between", "must be given with a field of your own", between)
        least = max(present.figure / LARGEST, 1.0 if present.scale == "whole number" else 0.0)
        between = present.back(least), present.back(present.figure * LARGEST)
    axis = Axis.between(field or own[0], between)
    start = present.figure if present and present.scale == axis.scale else axis.least
    return _limit("largest volume", scenario, strategy, target, axis, start, "low", effort)


def longest_interval(
    scenario: Scenario,
    target: str,
    strategy: Strategy | None = None,
    *,
    field: str = "strategy.interval",
    between: tuple[Any, Any] = ("1s", "1d"),
    **effort: Unpack[Options],
) -> Capacity:
    """Find the longest polling interval with which a target is met.

    Parameters
    ----------
    scenario, target
        As in `fewest_workers`.
    strategy
        The polling whose interval is changed; by default `Polling`, anchored at the arming.
    field
        What is changed: ``"strategy.cap"`` of a `Backoff`, ``"strategy.every"`` of a
        `CallbackWithSafetyPoll`.
    between
        The shortest and the longest interval to think of.
    **effort
        ``replications, seed, engine, n_jobs, confidence, progress``, as in `asyncsim.compare`.

    Returns
    -------
    Capacity
        ``value`` in seconds. Where all instances wait for the same batch, a fixed interval can hit
        its end by luck; ``one_way`` is then false.

    Examples
    --------
    >>> import asyncsim as sim
    >>> scenario = sim.Scenario(
    ...     name="requests",
    ...     process=sim.Process("request", [sim.AsyncStep("ask", system="service")]),
    ...     systems={"service": sim.OnlineService("45s", lanes=None)},
    ...     arrivals=sim.Scattered(20),
    ... )
    >>> answer = sim.longest_interval(
    ...     scenario, "mean_latency <= 1h", between=("1min", "1h"), replications=2, progress=False
    ... )
    >>> answer.value  # after an hour a step is 3,555 s late
    3600.0
    """
    strategy = Polling(60.0) if strategy is None else strategy
    check_field(strategy, field)
    axis = Axis.between(field, between)
    start = axis.middle(axis.least, axis.most)
    return _limit("longest interval", scenario, strategy, target, axis, start, "low", effort)


def _limit(
    what: str,
    scenario: Scenario,
    strategy: Strategy,
    target: str,
    axis: Axis,
    start: float,
    good: str,
    options: Options,
) -> Capacity:
    """Find where a target is just met: by the mean, by the whole interval, by its lower end."""
    check_scenario(scenario)
    wanted = Target.parse(target, scenario)
    effort = Effort(**options)
    with trials(scenario, [strategy], axis, wanted.measure, effort, what) as tried:

        def met(end: str, x: float) -> bool:
            return bool(getattr(tried.interval(x), end) <= wanted.most)

        wide = 0 if axis.whole else 6  # 1.01^64 is about 2
        value, _ = boundary(lambda x: met("mean", x), axis, start, good, wide)
        near = start if value is None else value
        surely, _ = boundary(lambda x: met("high", x), axis, near, good)
        perhaps, too_far = boundary(lambda x: met("low", x), axis, near, good)
        if not axis.whole and too_far is not None:
            perhaps = too_far  # beyond the last that may do, up to the first that will not
    ends = (surely, perhaps) if good == "low" else (perhaps, surely)
    best = axis.most if good == "high" else axis.least
    none = f"; at {axis.shown(best)} it is {tried.interval(best)}" if value is None else ""
    verdicts = [_verdict(tried.interval(x), wanted.most) for x in tried.values]
    return Capacity(
        f"{what} for {wanted} under {tried.labels[0]}",
        tried,
        (value, *ends),
        verdicts=verdicts,
        bound=wanted.most,
        none=none,
        one_way=goes_one_way(tried, rising=good == "low"),
        notes=tried.notes(),
    )


def _verdict(found: Interval, most: float) -> str:
    if found.high <= most:
        return "met"
    return "not met" if found.low > most or not found.n else "undecided"
