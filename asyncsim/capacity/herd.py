"""How long the herd takes to drain: the callbacks that come together when a batch ends."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, ClassVar, Unpack

import pandas as pd
from attrs import frozen

from asyncsim import plots
from asyncsim.capacity.questions import PlannerAnswer
from asyncsim.capacity.search import Effort, Options
from asyncsim.engine.metrics import metric_text
from asyncsim.engine.run import Run
from asyncsim.engine.simulation import check_played
from asyncsim.experiment import theory
from asyncsim.experiment.replications import Replications, runner
from asyncsim.experiment.statistics import Interval, mean_interval
from asyncsim.model.distributions import Fixed
from asyncsim.model.mixed_strategies import StrategyLike, parts_of, strategies_of
from asyncsim.model.process import AsyncStep
from asyncsim.model.scenario import Scenario
from asyncsim.model.server import TokenBucket
from asyncsim.model.specifications import Batch, Deliveries, StrategySpecification
from asyncsim.model.strategies import Callback, Strategy, specification_of
from asyncsim.model.systems import single_link
from asyncsim.model.units import DurationLike, number_text, one_of, percent, positive_duration
from asyncsim.model.validation import argument, with_own_tables

if TYPE_CHECKING:
    from asyncsim.plots.style import Picture

COLUMNS = ("replication", "system", "ended", "herd", "drained", "theory", "never", "others")
_time = partial(metric_text, "drained", unit="s")  # seconds as a text


@with_own_tables
@frozen(repr=False)
class HerdDrain(PlannerAnswer):
    """How long herds took to drain; made by `asyncsim.herd_drain`.

    Attributes
    ----------
    scenario, strategies, replications, seed
        What was played, under which strategy (its label), and how often.
    system
        The external system whose herds these are.
    herds
        One row per herd: ``replication, system``; ``ended`` (the last completion, in seconds);
        ``herd`` (the number of waits); ``drained`` (seconds from there to the last resumption);
        ``theory`` (the same by the closed form, NaN for polling); ``never`` (the number that never
        resumed); ``others`` (steps and calls before it).
    confidence
        Of the intervals.
    exact
        Whether the closed form is exact here, or a lower bound.
    """

    question: ClassVar[str] = "how long a herd takes to drain, from its last completion on"
    _folded_under = "by size"

    scenario: Scenario
    strategies: list[str]
    system: str
    herds: pd.DataFrame
    replications: int
    seed: int
    confidence: float
    exact: bool

    @property
    def table(self) -> pd.DataFrame:
        """The herds."""
        return self.herds

    @property
    def drained(self) -> Interval:
        """Mean seconds to drain, over replications (the mean of each one's herds)."""
        return self._over_replications("drained")

    @property
    def theory(self) -> Interval:
        """The same by the closed form, for the simulated sizes."""
        return self._over_replications("theory")

    @property
    def per_size(self) -> pd.DataFrame:
        """Herds of equal size together: ``herd, herds, drained, theory, never`` (their means)."""
        grouped = self.herds.groupby("herd")
        means = grouped[["drained", "theory", "never"]].mean()
        return pd.concat([grouped.size().rename("herds"), means], axis=1).reset_index()

    def _over_replications(self, column: str) -> Interval:
        means = self.herds.groupby("replication")[column].mean()
        return mean_interval(means.to_numpy(), self.confidence)

    @property
    def _name(self) -> str:
        several = f" ({self.system})" if len(self.scenario.systems) > 1 else ""
        return f"{self.scenario.name}{several}, {self.strategies[0]}"

    def plot(self, size: str = "page") -> Picture:
        """Draw how long each herd took against its size, with the closed form.

        `size` is ``"page"`` or ``"slide"``.
        """
        title = f"{self._name}: how long the herd takes"
        return plots.herd_drained(size, title, self.herds, self.exact)

    def findings(self) -> list[str]:
        """Return how long a herd takes, what theory says, and how many waits never resume."""
        herd = self._over_replications("herd")
        size = herd.in_words(number_text) if herd.half_width else number_text(herd.mean)
        of = "" if len(self.scenario.systems) == 1 else f" at {self.system}"
        kind = "theory gives" if self.exact else "theory gives at least"
        known = not self.herds["theory"].isna().all()
        bound = f"; {kind} {self.theory.in_words(_time)}" if known else ""
        sums = self.herds.groupby("replication")[["never", "herd"]].sum()
        never = mean_interval(sums["never"] / sums["herd"], self.confidence)
        lost = f"{never.in_words(percent)} of its waits never resume"
        if not self.drained.n:
            return [f"A herd{of} of {size} waits does not drain: {lost}."]
        # If results come one by one, the last to resume may not be late
        text = f"A herd{of} of {size} waits drains in {self.drained.in_words(_time)}"
        return [f"{text}{f', but {lost}' * (never.mean > 0)}{bound}."]

    def _shown_table(self) -> pd.DataFrame:
        table = self.per_size.head(20)
        shown = table[["herd", "herds"]].set_axis(["waits in the herd", "herds"], axis=1)
        shown["drained after"] = table["drained"].map(_time)
        if table["theory"].notna().any():
            shown["by theory"] = table["theory"].map(_time)
        if table["never"].any():
            shown["never resumed"] = table["never"].map(number_text)
        return shown


def herd_drain(
    scenario: Scenario,
    strategy: StrategyLike | None = None,
    *,
    system: str | None = None,
    apart: DurationLike = "30min",
    **effort: Unpack[Options],
) -> HerdDrain:
    """Measure the time from the end of a batch until the last of its waits has resumed.

    The closed form is that of N jobs of fixed length s that come at once to c idle workers: the
    last leaves at s⌈N/c⌉ (`asyncsim.experiment.theory.herd_drained`), after the network delay. It
    is exact if the batch gives its results at its end and every callback comes once and in time,
    since steps after the wait queue behind the whole herd. Copies, retries and late callbacks take
    longer. `WorkflowServer.finish_limit` has a bound of its own
    (`asyncsim.experiment.theory.bucket_drained`, `window_drained`). If results come one by one, the
    bound is what the workers have left at the end, or one callback; polling has no bound.

    Parameters
    ----------
    scenario
        What is played.
    strategy
        By default a callback without delay.
    system
        The external system whose herds are measured, by name; by default the only nightly batch,
        or the only system.
    apart
        Completions further apart than this belong to two herds.
    **effort
        ``replications, seed, engine, n_jobs, confidence, progress``, as in `asyncsim.compare`.

    Examples
    --------
    >>> scenario = sim.Scenario.load("example:nightly_ledger").replace(
    ...     systems={"ledger": sim.NightlyBatch("22:00", "1ms", results="at end")},
    ...     server=sim.WorkflowServer(workers=4, callback_work="1s"),
    ...     arrivals=sim.UniformArrivals(602, between=("08:00", "20:00")),
    ... )
    >>> round(sim.herd_drain(scenario, replications=2, progress=False).drained.mean)
    151
    """
    strategy = Callback() if strategy is None else strategy
    strategy = check_played(scenario, strategy, None)
    system = _chosen(scenario, system)
    gap = argument("apart", apart, positive_duration)
    chosen = Effort.of(effort)
    plan = Replications(scenario, (strategy,), chosen.seed, chosen.engine)
    keep = partial(herds_of, system=system, apart=gap)
    with runner(chosen.n_jobs, chosen.progress, "herds", chosen.replications) as play:
        parts = [part for (part,) in play.collect(plan, keep, range(chosen.replications))]
    herds = pd.concat(parts, ignore_index=True)
    exact = _single_burst(scenario, strategy) and not herds[["others", "never"]].to_numpy().any()
    rests_on = chosen.replications, chosen.seed, chosen.confidence
    return HerdDrain(scenario, [strategy.label], system, herds, *rests_on, exact)


def _chosen(scenario: Scenario, system: str | None) -> str:
    """Return the system whose herds are meant: the one named, the only batch, or the only one."""
    systems = scenario.systems
    batches = [name for name, one in systems.items() if isinstance(single_link(one), Batch)]
    candidates = batches or list(systems)
    if system is None and len(candidates) == 1:
        return candidates[0]
    return argument("system", system, lambda name: one_of(name, tuple(systems)))


def _single_burst(scenario: Scenario, strategy: Strategy) -> bool:
    """Return whether all callbacks of one batch reach the workers at once, each once."""
    systems = list(scenario.systems.values())
    batch = single_link(systems[0]) if len(systems) == 1 else None
    at_end = isinstance(batch, Batch) and batch.results == "at end"
    found = [specification_of(one) for one in parts_of(strategy, scenario)]
    plain = len(found) == 1 and found[0] is not None and found[0].only_certain_callbacks
    server = scenario.server
    delayed = not isinstance(server.engine_delay, Fixed)
    in_turn = not server.has_store or not (server.callback_work or server.store.slows_down)
    alike = in_turn and not (delayed or server.slows_down)
    return at_end and plain and alike and server.finish_limit is None and not scenario.has_outages


def _bound(run: Run, callbacks: int, spread: float) -> float:
    """Return the least time to drain callbacks that come within a spread."""
    server, limit = run.scenario.server, run.scenario.server.finish_limit
    admitted = 0.0
    if isinstance(limit, TokenBucket):
        admitted = theory.bucket_drained(callbacks, limit.size, limit.rate.per_second)
    elif limit is not None:
        admitted = theory.window_drained(callbacks, limit.most, limit.seconds)
    each, store, delay = server.callback_seconds, server.store, server.engine_delay
    handled = theory.herd_drained(callbacks, server.workers, each)
    stored = theory.herd_drained(callbacks, store.writers, store.callback_work)
    last = max(handled, stored + server.callback_work, admitted + each)
    return max(last - spread, each) + (delay.value if isinstance(delay, Fixed) else 0.0)


def _others(run: Run, at: float) -> int:
    """Return the number of steps and calls before a herd in the queue or in service."""
    work = run.steps[run.steps["kind"] == "step"]
    busy = int(((work["queued"] <= at) & (work["ended"] > at)).sum())
    if any(call.call_work != Fixed(0.0) for call in run.scenario.process.of_type(AsyncStep)):
        busy += int(((run.waits["called"] <= at) & (run.waits["armed"] > at)).sum())
    return busy


def herds_of(run: Run, system: str, apart: float) -> pd.DataFrame:
    """Return the herds of one system in a run; see `HerdDrain.herds`."""
    network, polls = 0.0, True
    own = strategies_of(run.strategy, run.scenario)
    calls = run.scenario.process.of_type(AsyncStep)
    found = [specification_of(own[call.name]) for call in calls if call.system == system]
    match found[:1]:
        case [StrategySpecification(None, Deliveries(delay)) as one] if found == [one] * len(found):
            network, polls = delay.value if isinstance(delay, Fixed) else 0.0, False
    waits = run.waits[run.waits["completed"].notna() & (run.waits["system"] == system)]
    ordered = waits.sort_values("completed")
    number = (ordered["completed"].diff() > apart).cumsum()
    rows = []
    for _, herd in ordered.groupby(number.to_numpy()):
        first, last = float(herd["completed"].min()), float(herd["completed"].max())
        resumed = herd["resumed"].dropna()
        drained = float(resumed.max()) - last if len(resumed) else math.nan
        bound = math.nan if polls else network + _bound(run, len(resumed), last - first)
        counts = len(herd) - len(resumed), _others(run, last + network)
        rows.append((run.draws.replication, system, last, len(herd), drained, bound, *counts))
    return pd.DataFrame(rows, columns=COLUMNS)
