"""What to expect of a scenario, and why, before any run: `explain`."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from html import escape

import pandas as pd

from asyncsim.capacity.expectations import LOAD, Estimate, Expectations
from asyncsim.experiment.stability import WORKERS
from asyncsim.model.html import cells_html, findings_html, result_html
from asyncsim.model.scenario import Scenario
from asyncsim.model.strategies import Callback, Strategy
from asyncsim.model.units import percent, text_of
from asyncsim.model.validation import scenario_error

QUEUES = ("M/M/1", "M/G/1 (Pollaczek-Khinchine)", "M/M/c (Erlang C)")
"""Formulas of a time outside that grows with the volume, and checks with it."""
COLUMNS = ["part", "what", "value", "unit", "at_least", "formula", "why"]


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
    """

    def __init__(
        self,
        scenario: Scenario,
        strategy: str,
        estimates: Sequence[Estimate],
        overloaded: list[str],
    ) -> None:
        self.scenario, self.strategy = scenario, strategy
        self._estimates = estimates
        self._overloaded = overloaded

    @cached_property
    def _table(self) -> pd.DataFrame:
        rows = [[getattr(one, name) for name in COLUMNS] for one in self._estimates]
        return pd.DataFrame(rows, columns=COLUMNS)

    @property
    def table(self) -> pd.DataFrame:
        """One row per number.

        ``part`` (the workers, a system, a step), ``what``, ``value`` (NaN where there is none),
        ``unit`` (``s``, ``worker s``, ``1``), ``at_least`` (a lower bound), ``formula``, ``why``
        (its condition, or why there is none).
        """
        return self._table.copy()

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

    @property
    def sentences(self) -> list[str]:
        """What to expect, in words."""
        found = [self._bottleneck_sentence(), *map(_overload_sentence, self._overloaded_loads())]
        for one in self._estimates:
            if one.what == "resume latency":
                late = f"{number_in_words(one)} ({one.formula})" if one.known else one.why
                words = "resumes after" if one.known else "has no closed form for its latency:"
                found.append(f"{one.part!r} {words} {late}.")
        return [sentence for sentence in found if sentence]

    def _overloaded_loads(self) -> list[Estimate]:
        loads = [one for one in self._estimates if one.what == LOAD]
        return [one for one in loads if one.part in self._overloaded]

    def _bottleneck_sentence(self) -> str:
        part = self.bottleneck
        if part is None:
            return "Nothing that is known here limits the volume."
        load = self.loads[part]
        estimate = next(one for one in self._estimates if (one.part, one.what) == (part, LOAD))
        others = [one for one in self._estimates if one.what == LOAD and one.part != part]
        vague = [one.part for one in others if one.at_least or not one.known]
        grows = part == WORKERS and any(one.formula in QUEUES for one in self._estimates)
        bound, first = ("at least ", "") if estimate.at_least else ("", " first,")
        end = ", or before" if estimate.at_least else ""
        if not estimate.at_least and (vague or grows):
            less = f"less is known of {' and '.join(vague)}" if vague else "checks grow as well"
            first, end = "", f", or before: {less}"
        verb, have = ("they overload", "have") if part == WORKERS else ("it overloads", "has")
        more = f"{verb}{first} at {1 / load:.3g} times the volume{end}" if load <= 1 else ""
        text = f"{part} {have} the largest load: {bound}{percent(load)}"
        return f"{text[0].upper()}{text[1:]}{'; ' + more if more else ''}."

    def __repr__(self) -> str:
        head = f"{self.scenario.name}, {self.strategy}: what to expect without a run"
        lines = [head, *self.sentences]
        part = None
        for one in self._estimates:
            if one.part != part:
                part = one.part
                lines += ["", str(part)]
            detail = f"{one.formula}: {one.why}" if one.known and one.formula else one.why
            lines.append(f"  {one.what:20} {number_in_words(one):>16}  {detail}")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        heads = ("of", "what", "expected", "formula", "condition, or why there is none")
        table = cells_html(
            heads,
            [(e.part, e.what, number_in_words(e), e.formula, e.why) for e in self._estimates],
        )
        of_title = f", {escape(self.strategy)}: what to expect without a run"
        return result_html(
            self.scenario.name, findings_html(self.sentences) + table, of_title=of_title
        )


def _overload_sentence(load: Estimate) -> str:
    bound = "at least " if load.at_least else ""
    return (
        f"{load.part} would need {bound}{percent(load.value)} of the time there is: a queue "
        "grows without end."
    )


def number_in_words(one: Estimate) -> str:
    """Return a number in human units, or a dash where there is none."""
    if not one.known:
        return "-"
    if one.unit in ("s", "worker s"):
        text = text_of(one.value) if one.value else "0 s"
    elif one.what in (LOAD, "wasted share"):
        text = percent(one.value)
    else:
        text = f"{one.value:.3g}" if one.value < 1000 else f"{one.value:,.0f}"
    return f">= {text}" if one.at_least else text


def explain(scenario: Scenario, strategy: Strategy | None = None) -> Explanation:
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
    chosen = Callback() if strategy is None else strategy
    if not isinstance(chosen, Strategy):
        raise scenario_error("strategy", "must be a Strategy such as Polling('5min')", strategy)
    found = Expectations(scenario, chosen)
    return Explanation(scenario, chosen.label, list(found.all()), found.overloaded)
