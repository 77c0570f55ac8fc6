"""The questions that search for a value of one field, and their answers.

`fewest_workers`, `largest_volume` and `longest_interval` find the value at which a target is just
met, `cheapest_interval` the one with the least cost. All values that are tried meet the same random
numbers. An answer is a sentence with notes, the table of what was played, and a picture.
"""

from __future__ import annotations

import itertools
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import partial
from html import escape
from typing import TYPE_CHECKING, Any, Unpack

import pandas as pd
from attrs import frozen

from asyncsim import plots
from asyncsim.capacity import sentences
from asyncsim.capacity.search import (
    LOSS,
    WEEKLY_VOLUME,
    WORKERS_FIELD,
    Evaluations,
    Found,
    Options,
    SearchSpace,
    bisect,
    boundary,
)
from asyncsim.engine.loads import goes_on
from asyncsim.engine.metrics import TOTALS, metric_in_words, metric_scale, metric_text
from asyncsim.engine.simulation import check_scenario
from asyncsim.errors import ScenarioError
from asyncsim.experiment.output import table_html
from asyncsim.experiment.stability import outside_overloads
from asyncsim.experiment.statistics import Uneven, paired_interval
from asyncsim.model.arrivals import Arrivals, Poisson, UniformArrivals, WeeklyPoisson
from asyncsim.model.html import findings_html, note_html
from asyncsim.model.scenario import Scenario
from asyncsim.model.strategies import Polling, Strategy
from asyncsim.model.units import number_text, percent, text_of
from asyncsim.model.validation import scenario_error
from asyncsim.model.words import counted, field_in_words, is_probability, with_unresumed
from asyncsim.studies.parameters import OF_STRATEGY, fields_of, scaled_value

if TYPE_CHECKING:
    from asyncsim.plots.style import Picture

NOT_FOUND: Found = (None, None, None)
MET, NOT_MET, UNDECIDED, OVERLOADED = "met", "not met", "undecided", "overloaded"
TARGET_GRID = 25  # values of the whole range that are tried before no value meets a target
LEAST_GRID = 9  # values of the whole range that are tried before golden-section search
LARGEST = 1024  # the default end of the range: workers, or times the present volume
GOLDEN = (math.sqrt(5) - 1) / 2


# --- answers --------------------------------------------------------------------------------------


class PlannerAnswer(ABC):
    """Base of answers: shows sentences, notes and a table in a notebook."""

    notes: Sequence[str] = ()
    _folded_under = ""  # the heading of a folded table

    @abstractmethod
    def findings(self) -> list[str]:
        """Return the answer in sentences with numbers and intervals."""

    @abstractmethod
    def _shown_table(self) -> pd.DataFrame:
        """Return the table of the HTML, in words and human units."""

    @property
    def _evidence(self) -> str:
        own: Any = self  # a study, see `studies/report.py`
        return (
            f"{own.scenario.name}: {own.question}; {own.replications} replications, seed "
            f"{own.seed}, {percent(own.confidence)} intervals"
        )

    def __repr__(self) -> str:
        return "\n".join([*self.findings(), *self.notes, self._evidence])

    def _repr_html_(self) -> str:
        notes = "".join(f"<div>{escape(note)}</div>" for note in self.notes)
        table = table_html(self._shown_table())
        if self._folded_under:
            table = f"<details><summary>{self._folded_under}</summary>{table}</details>"
        evidence = note_html(escape(self._evidence))
        return f"<div>{findings_html(self.findings())}{notes}{table}{evidence}</div>"


class Capacity(PlannerAnswer):
    """The value of a field that answers a question, with its interval.

    Attributes
    ----------
    question, text
        The question, and its answer in one sentence.
    value
        The answer as a scenario takes it (a duration in seconds); None if the range has none.
    low, high
        Ends of its confidence interval, None beyond the range: these replications do not
        distinguish the values between them from the answer. Where the measure is not monotone
        they have no confidence level: they span the answer and the values without a verdict.
    table
        One row per value and strategy: ``value``; ``verdict`` if there is a target; ``mean, low,
        high, unresumed_share, n, metric, unit, strategy``.
    one_way
        False if the measure goes up and down along the field by more than chance (has more than one
        valley, if the least is searched): the search may have missed a better value.
    notes
        Sentences on losses, overload and the range.
    scenario, strategies, field, replications, seed, confidence
        What was played, under which strategies (by label), and how often.
    strategies_in_words
        What each strategy does, by label, unless a field of it is searched.
    """

    _folded_under = "what was tried"

    def __init__(
        self,
        question: str,
        tried: Evaluations,
        found: Found,
        text: str,
        *,
        verdicts: Sequence[str] | None = None,
        one_way: bool = True,
        least: bool = False,
        notes: Sequence[str] = (),
    ) -> None:
        self.question, self.text = question, text
        self.one_way, self.notes, self._least = one_way, list(notes), least
        self.scenario, self.strategies = tried.scenario, list(tried.labels)
        known = [one for one in tried.strategies if one.label in tried.labels]
        self.strategies_in_words = {one.label: one.in_words for one in known}
        self.replications, self.seed = tried.effort.replications, tried.effort.seed
        self.confidence, self.field = tried.effort.confidence, tried.space.field
        self._space, self._found, self._bound = tried.space, found, tried.target.bound
        values = (None if x is None else tried.space.written(x) for x in found)
        self.value, self.low, self.high = values
        self._metric, self._unit = tried.measure.metric, tried.measure.unit(tried.scenario)
        self._tried = tried.table().assign(metric=self._metric, unit=self._unit)
        at = tried.values[0] if found[0] is None else found[0]
        scenario, (strategy, *_) = tried.setup(at)
        self._overloads = sentences.overloads(scenario, strategy, self.field)
        if verdicts is not None:
            self._tried["verdict"] = list(verdicts)
        if not one_way:
            shape = "has more than one valley along" if least else "does not go one way along"
            self.notes.append(
                f"the {metric_in_words(self._metric)} {shape} the {field_in_words(self.field)}: a "
                "search may have missed a better value; look at the picture"
            )

    @property
    def table(self) -> pd.DataFrame:
        """What was played, in the order of the values."""
        verdict = ["verdict"] if "verdict" in self._tried else []
        rest = ["unresumed_share", "n", "metric", "unit", "strategy"]
        return self._tried[["value", *verdict, "mean", "low", "high", *rest]]

    def findings(self) -> list[str]:
        """Return the external systems that are overloaded, and the answer in one sentence."""
        return [*self._overloads, self.text]

    def _shown_table(self) -> pd.DataFrame:
        tried, text = self._tried, partial(metric_text, self._metric, unit=self._unit)
        shown = pd.DataFrame({field_in_words(self.field): tried["x"].map(self._space.text)})
        if "verdict" in tried:
            shown["verdict"] = tried["verdict"]
        rows = tried[["mean", "low", "high", "n"]].itertuples(index=False)
        shown[metric_in_words(self._metric)] = [Uneven.between(*x).in_words(text) for x in rows]
        if (tried["unresumed_share"] > 0).any():
            shown["never resumed"] = tried["unresumed_share"].map(percent)
        return shown.assign(strategy=tried["strategy"]) if len(self.strategies) > 1 else shown

    def plot(self, size: str = "page") -> Picture:
        """Draw what was played near the answer, the target, and the answer with its interval.

        Around a least cost a band shows what is within 5 % of it. `size` is ``"page"`` or
        ``"slide"``.
        """
        finite = self._tried[self._tried["mean"].abs() < math.inf]
        limited = self._bound < math.inf  # the search may have begun far from the answer
        shown = plots.near(finite, self._found) if limited else finite
        shares = self._tried.groupby("strategy", sort=False)["unresumed_share"].max()
        most: dict[Any, float] = shares.to_dict()
        lines = {
            with_unresumed(label, share, most=True): shown[shown["strategy"] == label]
            for label, share in most.items()
        }
        space, value = self._space, self._found[0]
        kind = "share" if is_probability(self.field) else space.scale
        written = None if kind in ("share", "duration") else space.text
        across = plots.Scale(field_in_words(self.field), kind, written)
        scales = across, metric_scale(self._metric, self._unit)
        off, endless = len(finite) - len(shown), len(self._tried) - len(finite)
        missing = [f"{off} further off"] * bool(off) + [f"{endless} infinite"] * bool(endless)
        more = f"\n(tried but not shown: {', '.join(missing)})" if missing else ""
        words = "" if value is None else across.text(value)
        if self.field == WORKERS_FIELD and value is not None:
            words = counted(int(value), "worker", "workers")
        bound = self._bound if limited else None
        asked = plots.Question(self._found, words, self.text, bound, self._least)
        title = f"{self.question[:1].upper()}{self.question[1:]}{more}"
        return plots.answer(size, title, lines, scales, asked)


# --- a target that is just met --------------------------------------------------------------------


def fewest_workers(
    scenario: Scenario,
    strategy: Strategy,
    target: str,
    *,
    between: tuple[int, int] = (1, LARGEST),
    **effort: Unpack[Options],
) -> Capacity:
    """Find the fewest workers with which a target is met.

    Parameters
    ----------
    scenario, strategy
        What is played; the search begins with the scenario's own number of workers.
    target
        Such as ``"p95_latency <= 60s"``: of the mean over replications. A wait that never resumes
        counts as infinitely late.
    between
        The range of the search.
    **effort
        ``replications, seed, engine, n_jobs, confidence, progress``, as in `asyncsim.compare`.

    Returns
    -------
    Capacity
        The mean meets the target at ``value``, its whole interval at ``high``. Workers who cannot
        keep up with a rate of arrivals are too few (*overloaded*); a note reports if twice the
        length undoes the answer. ``one_way`` is false if a cost falls and rises with the workers.

    Examples
    --------
    >>> scenario = sim.Scenario.load("example:nightly_ledger").replace(
    ...     server=sim.WorkflowServer(workers=1, callback_work="1s"),
    ...     systems={"ledger": sim.NightlyBatch("22:00", "1ms", results="at end")},
    ...     arrivals=sim.UniformArrivals(600, between=("08:00", "20:00")),
    ... )
    >>> sim.fewest_workers(scenario, sim.Callback(), "max_latency <= 1min", progress=False).value
    10
    """
    tried = Evaluations.of(scenario, (strategy,), WORKERS_FIELD, between, effort, target=target)
    return _just_met("fewest workers", tried, float(scenario.server.workers), "high")


def largest_volume(
    scenario: Scenario,
    strategy: Strategy,
    target: str,
    *,
    field: str | None = None,
    between: tuple[Any, Any] | None = None,
    **effort: Unpack[Options],
) -> Capacity:
    """Find the largest volume at which a target is met.

    Parameters
    ----------
    scenario, strategy, target
        As in `fewest_workers`; the search begins with the scenario's own volume.
    field
        The dotted name of the volume; by default the rate of Poisson arrivals or the count of
        uniform ones.
    between
        The range of the search; by default from a 1024th to 1024 times the scenario's own volume.
    **effort
        ``replications, seed, engine, n_jobs, confidence, progress``, as in `asyncsim.compare`.

    Returns
    -------
    Capacity
        ``value`` is the last volume whose mean meets the target, ``low`` the last one whose whole
        interval does. A rate with which an external system or the workers cannot keep up does not
        meet it (*overloaded*); a note reports if twice the length undoes the answer.

    Examples
    --------
    >>> scenario = sim.Scenario.load("example:nightly_ledger").replace(
    ...     server=sim.WorkflowServer(workers=4, callback_work="1s"),
    ...     systems={"ledger": sim.NightlyBatch("22:00", "0s", results="at end")},
    ...     arrivals=sim.UniformArrivals(100, between=("08:00", "20:00")),
    ... )
    >>> sim.largest_volume(scenario, sim.Callback(), "max_latency <= 1min", progress=False).value
    240
    """
    check_scenario(scenario)
    own_field, volume = _volume(scenario.arrivals)
    field = field or own_field
    if not field:
        raise ScenarioError(
            f"field must be given for arrivals of class {type(scenario.arrivals).__name__}: the "
            "dotted name of what stands for volume"
        )
    present = scaled_value(volume) if field == own_field else None
    if between is None:
        if present is None:
            raise scenario_error("between", "must be given with a field of your own", between)
        least = max(present.number / LARGEST, 1.0 if present.scale == "whole number" else 0.0)
        between = present.back(least), present.back(present.number * LARGEST)
    tried = Evaluations.of(scenario, (strategy,), field, between, effort, target=target)
    start = present.number if present and present.scale == tried.space.scale else tried.space.low
    return _just_met("largest volume", tried, start, "low")


def _volume(arrivals: Arrivals) -> tuple[str, Any]:
    """Return the field that is the volume of arrivals, and its value; an empty name if none is."""
    if isinstance(arrivals, Poisson):
        return "arrivals.rate", str(arrivals.rate)
    if isinstance(arrivals, WeeklyPoisson):
        return WEEKLY_VOLUME, arrivals.volume
    return ("arrivals.count", arrivals.count) if isinstance(arrivals, UniformArrivals) else ("", 0)


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
        The strategy whose interval is changed; by default `Polling`, anchored at the arming.
    field
        The interval: ``"strategy.cap"`` of a `Backoff`, ``"strategy.every"`` of a
        `CallbackWithSafetyPoll`.
    between
        The range of the search.
    **effort
        ``replications, seed, engine, n_jobs, confidence, progress``, as in `asyncsim.compare`.

    Returns
    -------
    Capacity
        ``value`` in seconds. Where all instances wait for the same batch, a fixed interval can hit
        its end by chance; ``one_way`` is then false. There is none where a system or the workers
        cannot keep up with a rate of arrivals (*overloaded*); checks that fill all workers are not
        an overload, since each wait needs only one.

    Examples
    --------
    >>> answer = sim.longest_interval(
    ...     sim.Scenario.load("example:nightly_ledger"), "mean_latency <= 60s",
    ...     between=("1min", "5min"), replications=2, progress=False
    ... )
    >>> 100 < answer.value < 140  # half an interval late on average
    True
    """
    strategy = Polling(60.0) if strategy is None else strategy
    if isinstance(target, Strategy):
        raise ScenarioError(
            "longest_interval takes (scenario, target, strategy), got the strategy before the "
            f"target: {target!r}"
        )
    tried = Evaluations.of(scenario, (strategy,), field, between, effort, target=target)
    _check_field(strategy, field)
    start = tried.space.middle(tried.space.low, tried.space.high)
    return _just_met("longest interval", tried, start, "low")


def _check_field(strategy: Strategy, field: str) -> None:
    """Raise if a strategy lacks a field; the error has the fields that could be meant."""
    name, known = field.removeprefix(OF_STRATEGY), fields_of(strategy)
    if field.startswith(OF_STRATEGY) == (name.partition(".")[0] in known):
        return  # also a field of the scenario, which checks it
    own = [one for one in ("interval", "every", "cap", "hold") if one in known]
    hint = f"; name field={OF_STRATEGY + own[0]!r}" if own else "; it does not poll"
    raise ScenarioError(f"field {field!r} is none of {strategy.label!r}{hint}")


def _just_met(what: str, tried: Evaluations, start: float, good: str) -> Capacity:
    """Find the last value, from the good end of the space, that meets a target."""
    space = tried.space
    with tried.playing(what):
        search = _TargetSearch(tried, good)
        best, worst = search.range
        why_none = open_end = ""
        if space.field.startswith(OF_STRATEGY) and outside_overloads(
            tried.scenario, tried.strategies[0]
        ):
            tried.at(worst)  # one value is enough: none can help
            value = beyond = low = high = None
            why_none = f"{sentences.at(space, worst)} {sentences.OVERLOADED}"
        else:
            value, beyond = search.by_mean(start)
            low, high = search.ends(value)
        verdicts = [search.verdict(x) for x in tried.values]
        if why_none:
            notes = [f"none is offered: {'; '.join(tried.load_notes(worst))}"]
        elif tried.loses_callbacks():
            why_none = tried.measure.any_loss_note
            free = (space.field, space.low, good) == (LOSS, 0, "low") and search.met(0.0)
            value, low, high = (0.0, 0.0, 0.0) if free else NOT_FOUND
            beyond = None
            verdicts = [MET if x == value else NOT_MET for x in tried.values]
            notes = [why_none, *tried.load_notes(0.0)] if free else []
        else:
            notes = search.notes(value, beyond, verdicts)
            if value is not None and beyond is None and (high if good == "low" else low) is None:
                end = space.text(worst)
                notes.append(f"{end} is where the range looked at ends: `between` widens it")
                more = "or more" if good == "low" else "or fewer"
                open_end = more if value in (low, high) else ""
        one_way = tried.is_monotone(rising=good == "low")
        found = value, low, high
        if value is None:
            text = sentences.none_met(tried, best, why_none)
        else:
            text = sentences.just_met(
                tried, found, beyond, up_to=good == "low", one_way=one_way, open_end=open_end
            )
    return Capacity(
        f"{what} {sentences.which(tried)}, under {tried.labels[0]}",
        tried,
        found,
        text,
        verdicts=verdicts,
        one_way=one_way,
        notes=[*tried.unresumed_notes(), *notes],
    )


@frozen
class _TargetSearch:
    """The search for the last value, from the good end of a space, that meets a target."""

    tried: Evaluations
    good: str

    @property
    def range(self) -> tuple[float, float]:
        """The good end of the space, and the other."""
        low, high = self.tried.space.low, self.tried.space.high
        return (low, high) if self.good == "low" else (high, low)

    def verdict(self, x: float) -> str:
        """Return *met* if all of an interval keeps the bound, *not met* if none of it does."""
        interval, overload = self.tried.interval(x), self.tried.overload(x)
        bound = self.tried.target.bound
        if overload.certain:
            return OVERLOADED
        if interval.high <= bound:
            return UNDECIDED if overload.possible else MET
        return NOT_MET if interval.low > bound or not interval.n else UNDECIDED

    def met(self, x: float) -> bool:
        return self.verdict(x) == MET

    def possible(self, x: float) -> bool:
        return self.verdict(x) in (MET, UNDECIDED)

    def met_by_mean(self, x: float) -> bool:
        bound = self.tried.target.bound
        return self.tried.interval(x).mean <= bound and not self.tried.overload(x).likely

    def by_mean(self, start: float) -> tuple[float | None, float | None]:
        """Return the last value that meets it by its mean and the next; try the other tests too."""
        tried, space, good = self.tried, self.tried.space, self.good
        stride = 0 if space.whole else 6  # 1.01^64 is about 2
        value, beyond = boundary(self.met_by_mean, space, start, good, stride)
        costs = "cost" in tried.measure.metric  # may be less in the middle of the range
        if value is None and (costs or tried.interval(self.range[0]).mean == math.inf):
            better = [x for x in space.grid(TARGET_GRID) if self.met_by_mean(x)]
            if better:
                nearest = better[0] if good == "high" else better[-1]
                value, beyond = boundary(self.met_by_mean, space, nearest, good)
        for test in (self.met, self.possible):
            boundary(test, space, start if value is None else value, good)
        return value, beyond

    def ends(self, value: float | None) -> tuple[float | None, float | None]:
        """Return the ends of the interval: all before one are met, none behind the other is."""
        space, good = self.tried.space, self.good
        for certain, test in ((True, self.met), (False, self.possible)):
            inside, outside = self._edge(certain)  # values between them may be tried
            if inside is not None and outside is not None:
                bisect(test, space, inside, outside)
        possible, too_far = self._edge(certain=False)
        if too_far is None and possible is not None and possible != self.range[1]:  # seen by chance
            boundary(self.possible, space, possible, good)
            possible, too_far = self._edge(certain=False)
        met, _ = self._edge(certain=True)
        if not space.whole and too_far is not None:
            possible = too_far
        if too_far is None and possible is not None:  # the range ends first; one worker is least
            possible = 1.0 if space.whole and good == "high" and possible == 1 else None
        if value is not None and met is not None:  # isolated values may meet it further on
            met = min(met, value) if good == "low" else max(met, value)
        return (met, possible) if good == "low" else (possible, met)

    def _edge(self, certain: bool) -> tuple[float | None, float | None]:
        """Return the last value up to which all are met, or the last possible one, and the next."""
        values = self.tried.values if self.good == "low" else self.tried.values[::-1]
        if certain:
            k = len(list(itertools.takewhile(self.met, values)))
        else:
            k = next((k for k in range(len(values), 0, -1) if self.possible(values[k - 1])), 0)
        return values[k - 1] if k else None, values[k] if k < len(values) else None

    def notes(self, value: float | None, beyond: float | None, verdicts: list[str]) -> list[str]:
        """Return notes on an answer and the next value: on decisions, load and volume."""
        tried, notes = self.tried, list[str]()
        if value is None and UNDECIDED in verdicts:
            notes.append("some values are undecided: give more replications")
        measured = [] if beyond is None else tried.at(beyond)[0]
        if beyond is not None and 0 < measured.count(math.inf) < len(measured):
            notes.append(
                f"at {tried.space.text(beyond)} the {metric_in_words(tried.measure.metric)} is "
                f"infinite in {measured.count(math.inf)} of {len(measured)} replications and "
                "finite in the others: they are too few to decide whether the target is met"
            )
        if beyond is not None and tried.overload(beyond).likely:
            offered = "no more is" if self.good == "low" else "no fewer are"
            offered = "none is" if value is None else offered
            notes.append(f"{offered} offered: {'; '.join(tried.load_notes(beyond))}")
        elif value is not None:
            notes += tried.load_notes(value)
        return notes if value is None else notes + self._value_notes(value)

    def _value_notes(self, x: float) -> list[str]:
        """Return notes on a value: if twice the length undoes it, and of a factor what it is."""
        tried, notes = self.tried, []
        scenario, shown = tried.setup(x)[0], tried.space.text(x)
        if goes_on(scenario):
            interval = tried.at_double_length(x)
            total = tried.measure.metric in TOTALS  # may be twice as much
            if interval.low > tried.target.bound * (2 if total else 1):
                notes.append(
                    f"over {text_of(2 * tried.scenario.length)} "
                    f"{tried.measure.measured(interval.in_words(tried.number))}"
                    f"{', more than twice as much,' * total} at {shown}: give a longer length"
                )
        if tried.space.field == WEEKLY_VOLUME and isinstance(scenario.arrivals, WeeklyPoisson):
            week = number_text(scenario.arrivals.per_week)
            notes.append(f"{shown} are {week} instances a week")
        return notes


# --- the least cost -------------------------------------------------------------------------------


def cheapest_interval(
    scenario: Scenario,
    strategy: Strategy | None = None,
    *,
    metric: str = "cost",
    field: str = "strategy.interval",
    between: tuple[Any, Any] = ("1s", "1d"),
    **effort: Unpack[Options],
) -> Capacity:
    """Find the polling interval with the least cost.

    Golden-section search (Kiefer 1953, doi:10.2307/2032161) follows a grid over the whole range.
    For exponential external times and checks anchored at the arming,
    `asyncsim.experiment.theory.best_interval` is the closed form.

    Parameters
    ----------
    scenario
        What is played; with prices in `Scenario.costs`, if `metric` is a cost.
    strategy
        The strategy whose interval is changed; by default `Polling`, anchored at the arming.
    metric
        What is to be least.
    field, between
        As in `longest_interval`.
    **effort
        ``replications, seed, engine, n_jobs, confidence, progress``, as in `asyncsim.compare`.

    Returns
    -------
    Capacity
        ``value`` in seconds. The costs from ``low`` to ``high`` do not differ significantly from
        the least one: near a minimum the curve is flat. None where a system or the workers cannot
        keep up with a rate of arrivals at any interval.

    Examples
    --------
    >>> scenario = sim.Scenario.load("example:person").replace(
    ...     costs=sim.CostModel(check=0.001, late_minute=0.02), length="1d"
    ... )
    >>> answer = sim.cheapest_interval(scenario, between=("10s", "2h"), progress=False)
    >>> 10 <= answer.low <= answer.value <= answer.high <= 7200
    True
    """
    strategy = Polling(60.0) if strategy is None else strategy
    tried = Evaluations.of(scenario, (strategy,), field, between, effort, metric=metric)
    _check_field(strategy, field)
    space = tried.space
    with tried.playing("cheapest interval"):
        best = _least(
            lambda x: math.inf if tried.overload(x).certain else tried.interval(x).mean, space
        )
        overloaded = tried.overload(best).certain
        found = NOT_FOUND
        if not overloaded:
            low, high = (_first_worse(tried, best, end) for end in (space.low, space.high))
            found = (best, low, high)
        one_way = overloaded or _one_valley(tried, best)
        text = sentences.least(tried, found, one_way)
    return Capacity(
        f"{sentences.subject(space)} with the {sentences.lowest(metric)}, under {tried.labels[0]}",
        tried,
        found,
        text,
        one_way=one_way,
        least=True,
        notes=[*tried.unresumed_notes(), *tried.load_notes(best)],
    )


def _least(measure: Callable[[float], float], space: SearchSpace) -> float:
    """Return the value at which a measure is least, by a grid and golden-section search."""
    grid = space.grid(LEAST_GRID)
    best = min(range(len(grid)), key=lambda k: (measure(grid[k]), k))
    if measure(grid[best]) == math.inf:
        return grid[best]
    a, d = grid[max(best - 1, 0)], grid[min(best + 1, len(grid) - 1)]
    seen = [grid[best]]
    while not space.close(a, d):
        b, c = space.interpolated(a, d, 1 - GOLDEN), space.interpolated(a, d, GOLDEN)
        if not a < b < c < d:
            break
        seen += [b, c]
        a, d = (a, c) if measure(b) <= measure(c) else (b, d)
    return min(seen, key=lambda x: (measure(x), x))


def _first_worse(tried: Evaluations, best: float, end: float) -> float | None:
    """Return the first value towards an end whose interval is worse; None if the end's is not."""
    least = tried.at(best)[0]

    def as_good(x: float) -> bool:
        if tried.overload(x).certain or math.inf in set(tried.at(x)[0]) - set(least):
            return False
        return paired_interval(least, tried.at(x)[0], tried.effort.confidence).low <= 0

    return None if end == best or as_good(end) else bisect(as_good, tried.space, best, end)[1]


def _one_valley(tried: Evaluations, best: float) -> bool:
    """Return whether the measure rises from the best value to both ends, but for chance."""
    xs = tried.values
    for near, far in [*itertools.pairwise(xs), *itertools.pairwise(xs[::-1])]:
        outwards = best <= near < far or best >= near > far
        one, other = tried.at(near)[0], tried.at(far)[0]
        if not outwards or math.inf in one + other:
            continue
        if paired_interval(one, other, tried.effort.confidence).high < 0:
            return False
    return True
