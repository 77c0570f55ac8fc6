"""A run: the results of a simulation as tidy tables, metrics and a plot."""

from __future__ import annotations

from functools import cached_property
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from asyncsim import plots
from asyncsim.engine import result as tables
from asyncsim.engine.graph import Graph
from asyncsim.engine.metrics import compute_metrics, metrics_of
from asyncsim.engine.result import Record, warm_up_of, without_warm_up
from asyncsim.engine.wait_timeline import wait_timeline
from asyncsim.errors import ScenarioError, UnknownSerialNumber
from asyncsim.model.random_streams import Draws
from asyncsim.model.scenario import Scenario
from asyncsim.model.scenario_files import told_apart
from asyncsim.model.strategies import Callback, Polling, Strategy
from asyncsim.model.units import DurationLike, nearest, number_text
from asyncsim.model.validation import cached_table
from asyncsim.platform import can_compile

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Run:
    """The results of a scenario under a strategy; made by `asyncsim.simulate`.

    All times are seconds from the scenario's start; columns whose names end in ``_at`` are the
    same as timestamps. The tables are built on first use; each is a copy that you may change.
    """

    def __init__(
        self, scenario: Scenario, strategy: Strategy, draws: Draws, record: Record
    ) -> None:
        self.scenario = scenario
        self.strategy = strategy
        self.draws = draws
        self.record = record

    @property
    def engine(self) -> str:
        """Name of the engine."""
        return self.record.engine

    @cached_table
    def waits(self) -> pd.DataFrame:
        """One row per armed wait.

        ``serial_number, instance, step, system, strategy, called, armed, completed, resumed,
        closed, latency`` (seconds), ``checks, wasted_checks, deliveries, outcome``: resumed, timed
        out, gave up, cancelled, or waiting (still open).
        """
        return tables.waits(self.record, self.scenario, self.strategy.label)

    @property
    def notes(self) -> list[str]:
        """Notes on the run: waits that were still open when it stopped."""
        record = self.record
        if not record.open_count:
            return []
        end = self.scenario.calendar.timestamps(np.array([record.end]))[0]
        return [
            f"{record.open_count} of {len(record.waits.row)} waits were still open at "
            f"{end:%Y-%m-%d %H:%M:%S} under {self.strategy.label}; they have no latency and are in "
            "no average"
        ]

    @cached_table
    def instances(self) -> pd.DataFrame:
        """One row per instance: ``instance, arrived, ended, cycle_time, outcome``."""
        return tables.instances(self.record, self.scenario.calendar)

    @cached_table
    def steps(self) -> pd.DataFrame:
        """One row per executed step: ``instance, activation, step, kind, queued, started, ended``.

        An asynchronous step is queued and started with its call and ends when it resumes, with its
        ``outcome``.
        """
        return tables.steps(self.record, self._graph, self.scenario.calendar)

    @cached_table
    def deliveries(self) -> pd.DataFrame:
        """One row per callback delivery: ``sent, arrived, handled`` and the answer."""
        return tables.deliveries(self.record, self.scenario)

    @cached_table
    def server(self) -> pd.DataFrame:
        """Load per time bin: mean busy workers and queue length, by kind of job."""
        return tables.server(self.record, self.scenario.calendar)

    @cached_table
    def open_waits(self) -> pd.DataFrame:
        """Open waits per time bin: number at its start, mean, age of the oldest in seconds."""
        return tables.open_waits(self.record, self.scenario.calendar)

    @cached_table
    def overhead(self) -> pd.DataFrame:
        """Overhead by kind: worker-seconds, requests, database operations."""
        return tables.overhead(self.record, self.scenario.server)

    def event_log(self) -> pd.DataFrame:
        """Return the run as an event log in the column names of process mining (XES, pm4py).

        `asyncsim.write_event_log` writes it to a file: CSV, Parquet, XES or OCEL.

        Returns
        -------
        pandas.DataFrame
            One row per event, ordered in time: ``case:concept:name`` (the instance),
            ``concept:name`` (the step), ``lifecycle:transition``, ``org:resource``,
            ``serial_number`` (of suspend and resume), ``outcome`` (of the last event of a step),
            ``time:timestamp`` (in the scenario's zone; naive if it has none).

        Notes
        -----
        The transitions are those of the standard lifecycle of XES (IEEE 1849-2016):

        ============= ==========================================================================
        ``schedule``  the step, or its outgoing call, is queued for a worker
        ``start``     a worker picks it up
        ``suspend``   the wait is armed; the resource is the external system
        ``resume``    the wait is finished, and the process continues
        ``complete``  the step has succeeded, also by the immediate response *done*
        ``ate_abort`` the step has failed: its call was rejected, its wait timed out, or its
                      strategy gave up, see `outcome`. The instance may continue
        ``pi_abort``  the step was cancelled because its instance failed elsewhere
        ============= ==========================================================================

        An open wait has a ``suspend`` and nothing after it. ``withdraw`` never occurs: jobs stay in
        the server's queue. For the same reason a step that arms its wait before the call can be
        suspended, and even aborted, before it starts.
        """
        return tables.event_log(self.record, self._graph, self.scenario)

    def summary(self, after: DurationLike | None = None) -> pd.DataFrame:
        """Return one tidy row: the scenario, the strategy, the seed, and every metric.

        Units and meanings are in `asyncsim.engine.metrics.METRICS`; times are seconds. Costs are
        included if the scenario has prices.

        Parameters
        ----------
        after
            A warm-up to exclude (``"2 days"``): instances that arrived in it do not count, and load
            is that of the time after it. `longest_queue` and `connection_time` are then NaN.
        """
        record = self.record
        if after is not None:
            record = without_warm_up(
                record, warm_up_of("after", after, self.scenario, record.resolution)
            )
        head: dict[str, Any] = {
            "scenario": self.scenario.name,
            "strategy": self.strategy.label,
            "engine": self.engine,
            "seed": self.draws.seed,
            "replication": self.draws.replication,
            "instances": len(record.arrived),
        }
        found = compute_metrics(record, self.scenario)
        return pd.DataFrame([head | {name: found[name] for name in metrics_of(self.scenario)}])

    def plot_timeline(self, serial_number: str, against: Strategy | None = None) -> Figure:
        """Plot the life of one step under this strategy and another, one above the other.

        Both are played again with the same random numbers, which takes as long as two runs.

        Parameters
        ----------
        serial_number
            Such as ``"5_31"``.
        against
            The other strategy; by default a callback, or polling every 15 minutes if this is one.

        Raises
        ------
        UnknownSerialNumber
            If no wait has this number in either run.
        """
        if against is None:
            against = Polling(900.0) if self.strategy.notifies else Callback()
        if not isinstance(against, Strategy):
            raise ScenarioError(f"against must be a strategy, got {against!r}")
        lanes = {}
        pair = (against, self.strategy)
        for label, strategy in zip(told_apart(pair), pair, strict=True):
            label = f"{label} (2)" if label in lanes else label
            lanes[label] = wait_timeline(self.scenario, strategy, self.draws, serial_number)
        if all(lane.empty for lane in lanes.values()):
            serial_number, numbers = str(serial_number), self.waits["serial_number"]
            example = f"; one that exists is {numbers.iloc[0]!r}" if len(numbers) else ""
            raise UnknownSerialNumber(
                f"serial number {serial_number!r} is not known{nearest(serial_number, numbers)}"
                f"{example}"
            )
        return plots.timeline(lanes, title=f"The life of {serial_number}")

    @cached_property
    def _graph(self) -> Graph:
        return Graph.of(self.scenario.process)

    def __repr__(self) -> str:
        n = len(self.record.arrived)
        plain = self.engine == "compiled" and not can_compile()
        engine = "plain Python" if plain else self.engine
        return f"Run({self.scenario.name!r}, {self.strategy.label}, {n} instances, {engine})"

    def _repr_html_(self) -> str:
        units = {name: metric.unit for name, metric in metrics_of(self.scenario).items()}
        rows, summary = {}, self.summary().iloc[0]
        lossy = bool(summary["unresumed_share"] > 0)
        for name, value in summary.items():
            words = plots.heading(str(name), units.get(str(name), "1"), lossy)
            rows[words] = number_text(value) if isinstance(value, float) else str(value)
        table = pd.Series(rows).to_frame(self.strategy.label)
        notes = "".join(f"<p>{escape(note)}</p>" for note in self.notes)
        return f"<b>{escape(self.scenario.name)}</b>{notes}{table.to_html()}"
