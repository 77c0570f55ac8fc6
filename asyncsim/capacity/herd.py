"""How long the herd takes to drain: the callbacks that come together when a batch ends."""

from __future__ import annotations

import math
from functools import partial
from html import escape
from typing import TYPE_CHECKING, Unpack

import pandas as pd
from attrs import frozen

from asyncsim import plots
from asyncsim.capacity.search import Effort, Options
from asyncsim.engine.run import Run
from asyncsim.engine.run_arguments import check_played
from asyncsim.experiment import theory
from asyncsim.experiment.output import table_html
from asyncsim.experiment.replications import Replications, runner
from asyncsim.experiment.statistics import Interval, mean_interval
from asyncsim.model.cached_tables import with_own_tables
from asyncsim.model.distributions import Fixed
from asyncsim.model.process import AsyncStep
from asyncsim.model.scenario import Scenario
from asyncsim.model.server import TokenBucket
from asyncsim.model.strategies import Callback
from asyncsim.model.strategy_base import Strategy
from asyncsim.model.systems import NightlyBatch
from asyncsim.model.units import DurationLike, one_of, positive_duration
from asyncsim.model.validation import argument

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLUMNS = ["replication", "system", "ended", "herd", "drained", "theory", "never", "others"]


@with_own_tables
@frozen
class HerdDrain:
    """How long herds took to drain; made by `asyncsim.herd_drain`.

    Attributes
    ----------
    scenario, strategies, replications, seed
        What was played, under which strategy (its label), and how often.
    system
        The external system whose herds these are.
    herds
        One row per herd: ``replication, system``; ``ended`` (the last completion, in seconds from
        the start); ``herd`` (how many waits); ``drained`` (seconds from the last completion to the
        last resumption); ``theory`` (the same by the closed form, NaN where nobody calls back, or
        not only); ``never`` (how many of them never resumed); ``others`` (steps and calls that the
        workers had before them when the herd came).
    confidence
        Of the intervals.
    exact
        Whether the closed form is exact here, or a lower bound.
    """

    scenario: Scenario
    strategies: list[str]
    system: str
    herds: pd.DataFrame
    replications: int
    seed: int
    confidence: float
    exact: bool

    @property
    def drained(self) -> Interval:
        """Mean seconds to drain, over replications (the mean of each one's herds)."""
        return self._over_replications("drained")

    @property
    def theory(self) -> Interval:
        """The same by the closed form, for the herds as large as they were."""
        return self._over_replications("theory")

    @property
    def per_size(self) -> pd.DataFrame:
        """Herds of equal size together: ``herd, herds, drained, theory, never`` (their means)."""
        grouped = self.herds.groupby("herd")
        return grouped.agg(
            herds=("drained", "size"),
            drained=("drained", "mean"),
            theory=("theory", "mean"),
            never=("never", "mean"),
        ).reset_index()

    def _over_replications(self, column: str) -> Interval:
        means = self.herds.groupby("replication")[column].mean()
        return mean_interval(means.to_numpy(), self.confidence)

    @property
    def question(self) -> str:
        """What was asked."""
        return "how long the herd takes to drain"

    @property
    def table(self) -> pd.DataFrame:
        """The herds, as every study has a table."""
        return self.herds

    @property
    def _name(self) -> str:
        several = f" ({self.system})" if len(self.scenario.systems) > 1 else ""
        return f"{self.scenario.name}{several}, {self.strategies[0]}"

    def plot(self) -> Figure:
        """Draw how long each herd took against its size, with the closed form."""
        figure, (ax,) = plots.figure(1, width=7.0)
        plots.herd_drained(self.herds, ax)
        ax.set_title(f"{self._name}: how long the herd takes", loc="left", fontsize=11)
        return figure

    def __repr__(self) -> str:
        size, never = (round(float(self.herds[name].mean())) for name in ("herd", "never"))
        kind = "theory says" if self.exact else "theory says at least"
        known = not self.herds["theory"].isna().all()
        bound = f"; {kind} {self.theory} s" if known else ""
        if self.herds["never"].any():
            # Results may come one by one, and the last to resume be no late one
            soon = self.drained.mean > 0
            when = f"within {self.drained} s" if soon else "at once"
            some = f"{size - never:,} of {size:,} resume {when}" if size > never else "none resumes"
            return f"{self._name}: {some}; {never:,} never{bound * soon}"
        herd = self._over_replications("herd")
        return f"{self._name}: a herd of {herd} takes {self.drained} s to drain{bound}"

    def _repr_html_(self) -> str:
        table = table_html(self.per_size.head(20))
        return (
            f"<div>{escape(repr(self))}<details><summary>by size</summary>{table}</details></div>"
        )


def herd_drain(
    scenario: Scenario,
    strategy: Strategy | None = None,
    *,
    system: str | None = None,
    apart: DurationLike = "30min",
    **effort: Unpack[Options],
) -> HerdDrain:
    """Measure how long the workers need after a batch until the last of its waits has resumed.

    The closed form is that of N jobs of fixed length s that come at once to c idle workers: the
    last leaves at s⌈N/c⌉ (`asyncsim.experiment.theory.herd_drained`), after the network delay. It
    is
    exact if the batch gives its results at its end and every callback comes once and in time: steps
    after the wait queue up behind the whole herd, since the queue is FIFO. Copies, retries, checks,
    and callbacks that come too late for their waits make it longer. So does a limit on callbacks
    (`WorkflowServer.finish_limit`), whose own bound is taken if it is later
    (`asyncsim.experiment.theory.bucket_drained`, `window_drained`). If results come one by one
    there is
    hardly a herd: the workers began long before, and the bound is what is left of their work, or
    one callback. For strategies that ask there is no such bound.

    Parameters
    ----------
    scenario
        What is played.
    strategy
        How completion is noticed; by default a callback without delay.
    system
        The external system whose herds are measured, by name; by default the nightly batch, or the
        only system. Whoever has several must say which: an average over them says nothing.
    apart
        Completions further apart than this belong to two herds.
    **effort
        ``replications, seed, engine, n_jobs, confidence, progress``, as in `asyncsim.compare`.

    Examples
    --------
    >>> import asyncsim as sim
    >>> scenario = sim.Scenario(
    ...     name="a herd",
    ...     process=sim.Process("order", [sim.AsyncStep("post", system="ledger")]),
    ...     systems={"ledger": sim.NightlyBatch("22:00", "1ms", results="at end")},
    ...     server=sim.WorkflowServer(workers=4, callback_work="1s"),
    ...     arrivals=sim.UniformArrivals(602, between=("08:00", "20:00")),
    ... )
    >>> round(sim.herd_drain(scenario, replications=2, progress=False).drained.mean)
    151
    """
    strategy = Callback() if strategy is None else strategy
    check_played(scenario, strategy, None)
    system = _chosen(scenario, system)
    gap = argument("apart", apart, positive_duration)
    chosen = Effort.of(effort)
    plan = Replications(scenario, (strategy,), chosen.seed, chosen.engine)
    keep = partial(herds_of, system=system, apart=gap)
    with runner(chosen.n_jobs, chosen.progress, "herds", chosen.replications) as play:
        parts = [part for (part,) in play.collect(plan, keep, range(chosen.replications))]
    herds = pd.concat(parts, ignore_index=True)
    return HerdDrain(
        scenario,
        [strategy.label],
        system,
        herds,
        chosen.replications,
        chosen.seed,
        chosen.confidence,
        _plain(scenario, strategy) and not herds[["others", "never"]].to_numpy().any(),
    )


def _chosen(scenario: Scenario, system: str | None) -> str:
    """Return the system whose herds are meant: the one named, the only batch, or the only one."""
    systems = scenario.systems
    if system is None:
        batches = [name for name, one in systems.items() if isinstance(one, NightlyBatch)]
        candidates = batches or list(systems)
        if len(candidates) == 1:
            return candidates[0]
    return argument("system", system, lambda name: one_of(name, tuple(systems)))


def _plain(scenario: Scenario, strategy: Strategy) -> bool:
    """Tell whether the callbacks of one batch's end come to the workers at once, each once."""
    systems = list(scenario.systems.values())
    at_end = len(systems) == 1 and getattr(systems[0], "results", "") == "at end"
    plain = (
        type(strategy) is Callback
        and isinstance(strategy.delay, Fixed)
        and not strategy.loss
        and not strategy.duplicates
    )
    return at_end and plain and scenario.server.finish_limit is None


def _let_in(run: Run, callbacks: int) -> float:
    """Return when the server's limit has let in so many that came at once, by theory."""
    limit = run.scenario.server.finish_limit
    if limit is None or type(run.strategy) is not Callback:
        return 0.0
    if isinstance(limit, TokenBucket):
        return theory.bucket_drained(callbacks, limit.size, limit.rate.per_second)
    return theory.window_drained(callbacks, limit.most, limit.seconds)


def _others(run: Run, at: float) -> int:
    """Return how many steps and calls the workers had before them when a herd came."""
    work = run.steps[run.steps["kind"] == "step"]
    busy = int(((work["queued"] <= at) & (work["ended"] > at)).sum())
    if any(call.call_work != Fixed(0.0) for call in run.scenario.process.of_type(AsyncStep)):
        busy += int(((run.waits["called"] <= at) & (run.waits["armed"] > at)).sum())
    return busy


def herds_of(run: Run, system: str, apart: float) -> pd.DataFrame:
    """Return the herds of one system in a run; see `HerdDrain.herds`."""
    server = run.scenario.server
    called_back = type(run.strategy) is Callback
    delay = getattr(run.strategy, "delay", None)
    network = delay.value if isinstance(delay, Fixed) else 0.0
    waits = run.waits[run.waits["completed"].notna() & (run.waits["system"] == system)]
    ordered = waits.sort_values("completed")
    number = (ordered["completed"].diff() > apart).cumsum()
    rows = []
    for _, herd in ordered.groupby(number.to_numpy()):
        last, size = float(herd["completed"].max()), len(herd)
        known = herd["resumed"].dropna()
        drained = float(known.max()) - last if len(known) else math.nan
        alone = theory.herd_drained(len(known), server.workers, server.callback_work)
        spread = last - float(herd["completed"].min())
        let_in = _let_in(run, len(known)) + server.callback_work
        by_theory = network + max(max(alone, let_in) - spread, server.callback_work)
        if not called_back:  # who asks needs no callback: their work is no bound
            by_theory = math.nan
        others = _others(run, last + network)
        never = size - len(known)
        rows.append((run.draws.replication, system, last, size, drained, by_theory, never, others))
    return pd.DataFrame(rows, columns=COLUMNS)
