"""A run: the results of a simulation as tidy tables, metrics and a plot."""

from __future__ import annotations

import math
from functools import cached_property
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from attrs import asdict

from asyncsim import plots
from asyncsim.engine import result
from asyncsim.engine.environment import Job
from asyncsim.engine.graph import Call, Graph, Pause, Work
from asyncsim.engine.loads import ROUNDING, length_matters, loads, overload_in_words
from asyncsim.engine.metrics import compute_metrics, metric_in_words, metric_text, metrics_of, spent
from asyncsim.engine.simulation import Simulation
from asyncsim.engine.waits import State, Wait
from asyncsim.errors import UnknownSerialNumber
from asyncsim.model.html import findings_html
from asyncsim.model.mixed_strategies import as_strategy
from asyncsim.model.random_streams import Draws
from asyncsim.model.scenario import Scenario
from asyncsim.model.scenario_files import told_apart
from asyncsim.model.strategies import Callback, Polling, Strategy
from asyncsim.model.units import DurationLike, nearest, number_text, percent
from asyncsim.model.validation import cached_table
from asyncsim.model.words import counted
from asyncsim.platform import can_compile

if TYPE_CHECKING:
    from asyncsim.plots.style import Picture

TIMELINE_COLUMNS = ["event", "start", "end", "text"]
STEP_COLUMNS = ["instance", "activation", "step", "kind", "queued", "started", "ended", "outcome"]
EVENT_COLUMNS = {
    "step": "concept:name",
    "transition": "lifecycle:transition",
    "resource": "org:resource",
    "serial_number": "serial_number",
    "outcome": "outcome",
}  # columns of an event log, by those they are made of
ABORTED = {"rejected": "ate_abort", "timed out": "ate_abort", "gave up": "ate_abort"}
ABORTED |= {"cancelled": "pi_abort"}  # all other steps that end are complete


class Run:
    """The results of a scenario under a strategy; made by `asyncsim.simulate`.

    All times are seconds from the scenario's start; columns whose names end in ``_at`` are the
    same as timestamps. The tables are built on first use; each is a copy that you may change.
    """

    def __init__(
        self, scenario: Scenario, strategy: Strategy, draws: Draws, record: result.Record
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
        out, gave up, cancelled, or waiting (still open). If steps are repeated there is the column
        ``visit``: 1 for the first attempt, round or item, 2 for the second, and so on.
        """
        w, nodes = self.record.waits, self._graph.nodes
        names = np.array([node.name for node in nodes], dtype=object)
        systems = np.array(
            [node.step.system if isinstance(node, Call) else "" for node in nodes], dtype=object
        )
        own = (isinstance(node, Call) and self.strategy.for_step(node.step) for node in nodes)
        labels = np.array([one.label if one else "" for one in own], dtype=object)
        resumed = np.where(w.resumed, w.closed, np.nan)
        table = pd.DataFrame(
            {
                "serial_number": self._serial_numbers(w),
                "instance": w.row + 1,
                "step": names[w.node] if len(w.node) else [],
                "system": systems[w.node] if len(w.node) else [],
                "strategy": labels[w.node] if len(w.node) else [],
                "called": w.called,
                "armed": w.armed,
                "completed": w.completed,
                "resumed": resumed,
                "closed": w.closed,
                "latency": resumed - w.completed,
                "checks": w.checks,
                "wasted_checks": w.wasted_checks,
                "deliveries": w.deliveries,
                "outcome": np.array(result.WAIT_OUTCOMES, dtype=object)[w.outcome],
            }
        )
        if self._repeats:
            table.insert(3, "visit", self._of_waits(self._graph.visits))
        return self._stamped(table, "armed", "completed", "resumed")

    @cached_property
    def loads(self) -> dict[str, float]:
        """What a week of arrivals asks of each system and the workers, as share of their capacity.

        Above 1 a backlog grows from week to week. Empty where arrivals have no rate.
        """
        return loads(self.record, self.scenario)

    @property
    def overloaded(self) -> dict[str, float]:
        """The loads that are above 1."""
        return {part: load for part, load in self.loads.items() if load > 1 + ROUNDING}

    @property
    def notes(self) -> list[str]:
        """Notes on the run: open waits when it stopped, outages, overload, systems not used."""
        limits = [length_matters(part, self.scenario.length) for part in self.overloaded]
        down, dead, off = (
            int(np.sum(self.record.deliveries.outcome == result.DELIVERY_OUTCOMES.index(outcome)))
            for outcome in (result.ENDPOINT_DOWN, "dead letter", "switched off")
        )
        refused = counted(down, "delivery was", "deliveries were")
        given_up = counted(dead, "callback was a dead letter", "callbacks were dead letters")
        unsent = counted(off, "callback was", "callbacks were")
        outages = [f"{refused} refused: the endpoint was down"] * (down > 0)
        outages += [given_up] * (down > 0 and dead > 0)
        outages += [f"{unsent} not sent: the endpoint was switched off"] * (off > 0)
        return [*self.open_notes, *outages, *limits, *self.scenario.notes]

    @property
    def open_notes(self) -> list[str]:
        """A note on the waits that were still open when the run stopped, if any."""
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
        record = self.record
        table = pd.DataFrame(
            {
                "instance": np.arange(len(record.arrived)) + 1,
                "arrived": record.arrived,
                "ended": record.ended,
                "cycle_time": record.ended - record.arrived,
                "outcome": np.array(result.INSTANCE_OUTCOMES, dtype=object)[record.outcomes],
            }
        )
        return self._stamped(table, "arrived", "ended")

    @cached_table
    def steps(self) -> pd.DataFrame:
        """One row per executed step: ``instance, activation, step, kind, queued, started, ended``.

        An asynchronous step is queued and started with its call and ends when it resumes, with its
        ``outcome``. If steps are repeated there is the column ``visit``, as in `waits`.
        """
        parts, visits = [], self._graph.visits
        for node, columns in zip(self._graph.nodes, self.record.steps, strict=True):
            if not isinstance(node, (Work, Call, Pause)) or not getattr(node, "listed", True):
                continue
            rows = np.flatnonzero(~np.isnan(columns.queued))
            kind, started = "step", columns.started[rows]
            kind = "delay" if isinstance(node, Pause) else kind
            outcome: Any = "done"
            if columns.outcome is not None:
                kind = "async step"
                outcome = np.array(result.STEP_OUTCOMES, dtype=object)[columns.outcome[rows]]
            started = np.where(started <= self.record.end, started, np.nan)
            times = columns.queued[rows], started, columns.ended[rows]
            values = rows + 1, node.number, node.name, kind, *times, outcome
            part = pd.DataFrame(dict(zip(STEP_COLUMNS, values, strict=True)))
            if self._repeats:
                part.insert(3, "visit", visits[node.index])
            parts.append(part)
        table = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=STEP_COLUMNS)
        table.loc[table["ended"].isna(), "outcome"] = "open"
        table = table.sort_values(["instance", "activation"], kind="stable", ignore_index=True)
        return self._stamped(table, "queued", "started", "ended")

    @cached_table
    def deliveries(self) -> pd.DataFrame:
        """One row per callback delivery: ``sent, arrived, handled`` and the answer."""
        d = self.record.deliveries
        table = pd.DataFrame(
            {
                "serial_number": self._serial_numbers(d),
                "attempt": d.attempt + 1,  # from 1; a dead letter has 0
                "sent": d.sent,
                "arrived": d.arrived,
                "handled": d.handled,
                "outcome": np.array(result.DELIVERY_OUTCOMES, dtype=object)[d.outcome],
            }
        )
        return self._stamped(table, "sent", "arrived", "handled")

    @cached_table
    def server(self) -> pd.DataFrame:
        """Load per time bin: mean busy workers and queue length, by kind of job."""
        loads = {job.name.lower(): load for job, load in self.record.loads.items()}
        bins = np.arange(len(loads["work"].busy))
        columns: dict[str, Any] = {"time": bins * self.record.resolution}
        for what in ("busy", "queue", "started"):
            by_kind = {f"{what}_{kind}": getattr(load, what) for kind, load in loads.items()}
            columns |= {what: np.sum(list(by_kind.values()), axis=0)} | by_kind
        return self._stamped(pd.DataFrame(columns), "time")

    @cached_table
    def open_waits(self) -> pd.DataFrame:
        """Open waits per time bin: number at its start, mean, age of the oldest in seconds."""
        record, waits = self.record, self.record.waits
        size = len(record.loads[Job.WORK].busy) + 1  # includes the end of the run
        time = np.arange(size, dtype=np.float64) * record.resolution
        by_age = np.argsort(waits.armed, kind="stable")
        armed = waits.armed[by_age]
        closed = np.where(np.isnan(waits.closed), np.inf, waits.closed)[by_age]
        ordered = np.sort(closed)
        count = np.searchsorted(armed, time, "right") - np.searchsorted(ordered, time, "right")
        edges = np.minimum(np.append(time, time[-1] + record.resolution), record.end)
        integral = result.time_since(armed, edges) - result.time_since(
            ordered[np.isfinite(ordered)], edges
        )
        # The oldest open wait is the first that closes later than all before it, and than now
        oldest = np.searchsorted(np.maximum.accumulate(closed), time, "right")
        table = pd.DataFrame(
            {
                "time": time,
                "open": count,
                "mean_open": np.diff(integral) / record.resolution,
                "oldest_age": np.maximum(time - np.append(armed, np.inf)[oldest], 0.0),
            }
        )
        return self._stamped(table, "time")

    @cached_table
    def overhead(self) -> pd.DataFrame:
        """Overhead by kind: worker-seconds, requests, database operations."""
        return pd.DataFrame([asdict(one) for one in spent(self.record, self.scenario.server)])

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
        suspended, and one whose deadline counts from then aborted, before it starts.
        """
        done, waits = self.steps, self.waits.rename(columns={"system": "resource"})
        done = done.assign(resource="workflow server", serial_number=None)
        waits["activation"] = self._of_waits([getattr(n, "number", 0) for n in self._graph.nodes])
        end = done["outcome"].map(ABORTED).fillna("complete")
        # The order of the events of a step at one instant; the next step comes after them
        parts = [
            (done.assign(transition="schedule", outcome=None), "queued"),
            (done.assign(transition="start", outcome=None), "started"),
            (waits.assign(transition="suspend", outcome=None), "armed"),
            (waits.assign(transition="resume", outcome=None), "resumed"),
            (done.assign(transition=end), "ended"),
        ]
        columns = ["instance", "activation", "seconds", "rank", *EVENT_COLUMNS]
        log = pd.concat(
            [
                table.assign(seconds=table[instant], rank=rank)[columns]
                for rank, (table, instant) in enumerate(parts)
            ],
            ignore_index=True,
        ).dropna(subset="seconds")
        log = log.sort_values(["seconds", "instance", "activation", "rank"], ignore_index=True)
        log.insert(0, "case:concept:name", log["instance"].astype(str))
        log["time:timestamp"] = self.scenario.calendar.timestamps(log["seconds"].to_numpy())
        return log.drop(columns=columns[:4]).rename(columns=EVENT_COLUMNS)

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
            record = result.without_warm_up(
                record, result.warm_up_of("after", after, self.scenario, record.resolution)
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

    def plot_timeline(
        self, serial_number: str, against: Strategy | None = None, size: str = "page"
    ) -> Picture:
        """Plot the life of one step under this strategy and another, one above the other.

        Both are played again with the same random numbers, which takes as long as two runs.

        Parameters
        ----------
        serial_number
            Such as ``"5_31"``.
        against
            The other strategy; by default a callback, or polling every 15 minutes if this is one.
        size
            ``"page"`` or ``"slide"``.

        Raises
        ------
        UnknownSerialNumber
            If no wait has this number in either run.
        """
        if against is None:
            against = Polling(900.0) if self.strategy.notifies else Callback()
        against = as_strategy("against", against, self.scenario)
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
        return plots.timeline(size, f"The life of {serial_number}", lanes)

    @cached_property
    def _graph(self) -> Graph:
        return Graph.of(self.scenario.process)

    @cached_property
    def _repeats(self) -> bool:
        """Whether some steps are played several times."""
        return max(self._graph.visits, default=1) > 1

    def _of_waits(self, of_nodes: list[int]) -> Any:
        """Return a number of each wait, by its node."""
        return np.array(of_nodes, dtype=np.int64)[self.record.waits.node]

    def _stamped(self, table: pd.DataFrame, *columns: str) -> pd.DataFrame:
        return result.with_timestamps(table, self.scenario.calendar, columns)

    def _serial_numbers(
        self, columns: result.WaitColumns | result.DeliveryColumns
    ) -> pd.Series[str]:
        """Return serial numbers: those of a log, or instance and activation."""
        found = columns.serial_numbers
        if found is None:
            calls = {node.index: node for node in self._graph.nodes if isinstance(node, Call)}
            systems = self.scenario.systems
            logged = {k: systems[call.step.system].serial_numbers for k, call in calls.items()}
            pairs = zip(columns.row.tolist(), columns.node.tolist(), strict=True)
            found = [
                own[i] if (own := logged[k]) else f"{i + 1}_{calls[k].number}" for i, k in pairs
            ]
        return pd.Series(found, dtype="str")

    def __repr__(self) -> str:
        n = len(self.record.arrived)
        plain = self.engine == "compiled" and not can_compile()
        engine = "plain Python" if plain else self.engine
        return f"Run({self.scenario.name!r}, {self.strategy.label}, {n} instances, {engine})"

    def _repr_html_(self) -> str:
        table = pd.Series(self._in_words).to_frame(self.strategy.label)
        notes = "".join(f"<p>{escape(note)}</p>" for note in self.notes)
        found = findings_html(self.findings())
        return f"<b>{escape(self.scenario.name)}</b>{found}{notes}{table.to_html()}"

    def __str__(self) -> str:
        rows = self._in_words
        width = max(map(len, rows))
        lines = [f"{name:{width}}  {text}" for name, text in rows.items()]
        return "\n".join([*self.findings(), *lines, *self.notes])

    def findings(self) -> list[str]:
        """Return what is overloaded, and how late steps resume at what overhead, in sentences.

        The share of waits that never resume is among it, if any. One run has no interval.
        """
        overloads = [
            overload_in_words(part, percent(load)) for part, load in self.overloaded.items()
        ]
        found = self.summary().iloc[0]
        late, share = found["mean_latency"], found["unresumed_share"]
        armed, requests = (number_text(found[name]) for name in ("armed", "requests"))
        if math.isnan(late):
            words = f"none of {armed} waits resumes" if found["armed"] else "no step waits"
        else:
            words = f"{armed} waits resume "
            if share > 0:
                never = metric_text("unresumed_share", share, "1")
                words = f"{never} of {armed} waits never resume, the others resume "
            words += f"{metric_text('mean_latency', late, 's')} after completion on average, for "
            words += f"{requests} requests"
        words = f"under '{self.strategy.label}' {words} (one run, so without an interval)"
        return [f"{one[0].upper()}{one[1:]}." for one in (*overloads, words)]

    @property
    def _in_words(self) -> dict[str, str]:
        """What the run is of, and its metrics, in words and human units."""
        units = {name: metric.unit for name, metric in metrics_of(self.scenario).items()}
        rows, summary = {}, self.summary().iloc[0]
        lossy = bool(summary["unresumed_share"] > 0)
        for key, value in summary.items():
            name = str(key)
            text = metric_text(name, value, units[name]) if name in units else str(value)
            rows[metric_in_words(name, lossy)] = text
        return rows


def wait_timeline(
    scenario: Scenario, strategy: Strategy, draws: Draws, serial_number: str
) -> pd.DataFrame:
    """Return the events of one wait: event, start, end (seconds) and a text; empty if unknown."""
    simulation = _EveryCheck(scenario, strategy, draws, serial_number)
    simulation.run()
    wait = simulation.waits.records.get(serial_number)
    if wait is None:
        return pd.DataFrame(columns=TIMELINE_COLUMNS)
    arrived = draws.arrivals[wait.row]
    instants = {"arrived": arrived, "called": wait.called, "armed": wait.armed}
    instants["completed"] = wait.completed
    rows = [(event, instant, instant, "") for event, instant in instants.items()]
    rows += simulation.checks
    for delivery in simulation.deliveries:
        if delivery.serial_number == serial_number:
            end = delivery.arrived if delivery.outcome in result.REFUSED else delivery.handled
            rows.append(("delivery", delivery.sent, end, delivery.outcome))
    ending = "resumed" if wait.state is State.FINISHED else wait.state.value
    rows.append((ending, wait.closed, wait.closed, ""))
    table = pd.DataFrame(rows, columns=TIMELINE_COLUMNS)
    return table.sort_values("start", kind="stable", ignore_index=True)


class _EveryCheck(Simulation):
    """Plays every check, and records those of one wait."""

    skips_checks = False

    def __init__(
        self, scenario: Scenario, strategy: Strategy, draws: Draws, serial_number: str
    ) -> None:
        super().__init__(scenario, strategy, draws)
        self._serial_number = serial_number
        self.checks: list[tuple[str, float, float, str]] = []

    def checked(self, wait: Wait, asked: float, seen: bool) -> None:
        super().checked(wait, asked, seen)
        if wait.serial_number == self._serial_number:
            self.checks.append(("check", asked, self.now, "done" if seen else "not yet"))
