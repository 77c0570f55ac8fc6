"""What to expect of a scenario, and why, before any run: `explain`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

import pandas as pd
from attrs import astuple, fields

from asyncsim.capacity.expectations import LOAD, Estimate, Expectations
from asyncsim.capacity.noticing import ERLANG, POLLACZEK
from asyncsim.engine.loads import WORKERS, named
from asyncsim.model.html import cells_html, findings_html, result_html
from asyncsim.model.mixed_strategies import StrategyLike, as_strategy
from asyncsim.model.scenario import Scenario
from asyncsim.model.strategies import Callback
from asyncsim.model.units import percent, text_of
from asyncsim.model.validation import scenario_error

TITLE = "what to expect without a run"
QUEUES = ("M/M/1", POLLACZEK, ERLANG)  # of a time outside that grows with the volume
MOST_NAMED = 4  # steps in a sentence
COLUMNS = [one.name for one in fields(Estimate)]


class Explanation:
    """What theory expects of a scenario under a strategy; made by `asyncsim.explain`.

    Each number holds under the condition beside it, on an idle server or with its queue as the
    formula says; where there is no closed form, the reason stands in its place.

    >>> found = sim.explain(sim.Scenario.load("example:person"), sim.Polling("10min"))
    >>> found.bottleneck
    'clerks'

    Attributes
    ----------
    scenario, strategy
        What is explained; the label of the strategy.
    strategies, replications, seed, confidence
        As of a study without runs, for `asyncsim.report`.
    """

    def __init__(
        self, scenario: Scenario, strategy: str, estimates: Sequence[Estimate], full: list[str]
    ) -> None:
        self.scenario, self.strategy = scenario, strategy
        self.strategies, self.replications, self.seed, self.confidence = [strategy], 0, 0, 1.0
        self._estimates, self._overloaded = estimates, full

    @property
    def table(self) -> pd.DataFrame:
        """One row per number.

        ``part`` (the workers, a system, a step), ``what``, ``value`` (NaN where there is none),
        ``unit`` (``s``, ``worker s``, ``1``), ``at_least`` (a lower bound), ``formula``, ``why``
        (its condition, or why there is none).
        """
        return pd.DataFrame(map(astuple, self._estimates), columns=COLUMNS)

    @property
    def overloaded(self) -> list[str]:
        """Parts that are asked for more than they can do: there is no steady state."""
        return list(self._overloaded)

    @property
    def loads(self) -> dict[str, float]:
        """The load of the workers and of each system, as a share of their capacity in a week."""
        return {one.part: one.value for one in self._estimates if one.what == LOAD}

    @property
    def bottleneck(self) -> str | None:
        """The part with the largest load, which overloads first as the volume grows."""
        known = {part: load for part, load in self.loads.items() if load > 0}
        return max(known, key=known.__getitem__) if known else None

    def value(self, part: str, what: str) -> float:
        """Return a number, such as ``value("post", "resume latency")``; NaN if there is none."""
        for one in self._estimates:
            if (one.part, one.what) == (part, what):
                return one.value
        pairs = ", ".join(repr((one.part, one.what)) for one in self._estimates)
        raise scenario_error("part and what", f"must be one of {pairs}", (part, what))

    def findings(self) -> list[str]:
        """Return `sentences`: in a report they stand on the first page if nothing was played."""
        return self.sentences

    @property
    def sentences(self) -> list[str]:
        """What to expect, in words."""
        loads = [one for one in self._estimates if one.what == LOAD]
        full = [one for one in loads if one.part in self._overloaded]
        found = [_overload_sentence(one) for one in full] or [self._bottleneck_sentence(loads)]
        unknown: dict[str, list[str]] = {}
        for one in (one for one in self._estimates if one.what == "resume latency"):
            if one.known:
                after = f"{number_in_words(one)} after completion on average"
                found.append(f"{one.part!r} resumes {after} ({one.formula}).")
            else:
                unknown.setdefault(one.why, []).append(repr(one.part))
        for why, names in unknown.items():
            has, its = ("has", "its") if len(names) == 1 else ("have", "their")
            who = f"{len(names)} steps" if len(names) > MOST_NAMED else " and ".join(names)
            found.append(f"{who} {has} no closed form for {its} latency: {why}.")
        return found

    def _bottleneck_sentence(self, loads: list[Estimate]) -> str:
        if (part := self.bottleneck) is None:
            return "Nothing that is known here limits the volume."
        load = next(one for one in loads if one.part == part)
        vague = [o.part for o in loads if o.part != part and (o.at_least or not o.known)]
        less = f"less is known of {' and '.join(map(named, vague))}" if vague else ""
        workers = part == WORKERS
        queues = any(o.what == "external time" and o.formula in QUEUES for o in self._estimates)
        if workers and queues and any(o.what == "checks per wait" for o in self._estimates):
            less = less or "checks grow as well"
        has = "have the largest load" if workers else "has the largest load"
        overloads = "they overload" if workers else "it overloads"
        first = "" if less or load.at_least else " first,"
        before = f", or before: {less}" if less else ", or before" if load.at_least else ""
        volume = f"at {1 / load.value:.3g} times the volume{before}"
        return f"{_first(part)} {has}, {number_in_words(load)}; {overloads}{first} {volume}."

    def __repr__(self) -> str:
        lines = [f"{self.scenario.name}, {self.strategy}: {TITLE}", *self.sentences]
        part = None
        for one in self._estimates:
            if one.part != part:
                part = one.part
                lines += ["", part]
            number = number_in_words(one)
            detail = one.why if number == "-" else f"{one.formula}: {one.why}"
            lines.append(f"  {one.what:20} {number:>17}  {detail}")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        heads = ("of", "what", "expected", "formula", "condition, or why there is none")
        rows = [(e.part, e.what, number_in_words(e), e.formula, e.why) for e in self._estimates]
        of_title = f", {escape(self.strategy)}: {TITLE}"
        body = findings_html(self.sentences) + cells_html(heads, rows)
        return result_html(self.scenario.name, body, of_title=of_title)


def _overload_sentence(load: Estimate) -> str:
    if math.isinf(load.value):
        return f"{load.part!r} never starts: its queue grows without end."
    who, verb = _first(load.part), "need" if load.part == WORKERS else "needs"
    text = f"{number_in_words(load)} of the time there is"
    return f"{who} {verb} {text}: the queue grows without end."


def _first(part: str) -> str:
    """Return a part as a sentence begins with it."""
    return named(part)[:1].upper() + named(part)[1:]


def number_in_words(one: Estimate) -> str:
    """Return a number in human units, or a dash where there is none."""
    if not one.known or (one.at_least and not one.value):
        return "-"
    if one.unit in ("s", "worker s"):
        text = text_of(one.value, 3) if one.value else "0 s"
    elif one.what in (LOAD, "wasted share"):
        text = percent(one.value)
    else:
        text = f"{one.value:.3g}" if one.value < 1000 else f"{one.value:,.0f}"
    return f"at least {text}" if one.at_least else text


def explain(scenario: Scenario, strategy: StrategyLike | None = None) -> Explanation:
    """Return what to expect of a scenario, and why, without a run.

    Loads of the workers and of each external system, the bottleneck, and for each step that waits
    its latency, checks and overhead by closed form, each with its formula and condition; or the
    reason why there is none, such as "the batch starts by the clock".

    Parameters
    ----------
    scenario
        What is explained.
    strategy
        How its steps wait; by default a callback.

    Raises
    ------
    ScenarioError
        If an argument is of another type.

    Examples
    --------
    >>> import asyncsim as sim
    >>> scenario = sim.Scenario(
    ...     name="orders",
    ...     process=sim.Process("order", [sim.AsyncStep("ask", "service")]),
    ...     systems={"service": sim.OnlineService(sim.exponential("10min"), lanes=None)},
    ...     arrivals=sim.Poisson("60/h"),
    ... )
    >>> found = explain(scenario, sim.Polling("10min"))
    >>> found.value("ask", "resume latency")
    349.18...
    """
    if not isinstance(scenario, Scenario):
        raise scenario_error("scenario", "must be a Scenario", scenario)
    chosen = as_strategy("strategy", Callback() if strategy is None else strategy, scenario)
    found = Expectations(scenario, chosen)
    return Explanation(scenario, chosen.label, list(found.all()), found.overloaded)
