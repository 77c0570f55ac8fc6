"""The explorer without its looks: settings in, figures of callback and polling out."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from attrs import evolve, frozen

from asyncsim.engine.record import RESUMED, Record
from asyncsim.engine.simulate import simulate
from asyncsim.engine.workers import Job
from asyncsim.errors import AsyncsimError, CensoredWarning
from asyncsim.model.arrivals import Poisson, Regular, Scattered
from asyncsim.model.draws import Draws
from asyncsim.model.durations import Duration, fixed
from asyncsim.model.quantities import text_of
from asyncsim.model.scenario import Scenario
from asyncsim.model.strategies import Callback, Polling, Strategy
from asyncsim.model.systems import NightlyBatch

SHARES = np.concatenate([[0.0], np.linspace(0.02, 0.98, 49), [0.99, 0.995, 1.0]])
"""Shares of the waits at which the distribution of latencies is drawn."""
SEED = 1
UNCONCERNED = {"callback": ("interval", "poll_work"), "polling": ("loss", "callback_work")}
"""Settings that change nothing under a strategy."""


@frozen
class Control:
    """A slider: one of several values, as a person writes them."""

    name: str
    label: str
    values: tuple[Any, ...]
    texts: tuple[str, ...]

    def nearest(self, value: float) -> int:
        """Return the place of the value nearest to one."""
        distances = [abs(math.log((v + 1e-9) / (value + 1e-9))) for v in self.values]
        return distances.index(min(distances))


def control(
    name: str, label: str, values: Sequence[Any], says: Callable[[Any], str] = str
) -> Control:
    """Make a slider of values and of how each is said."""
    return Control(name, label, tuple(values), tuple(says(value) for value in values))


INTERVAL = control(
    "interval", "polling interval", (60, 120, 300, 600, 900, 1800, 3600, 7200), text_of
)
LOSS = control("loss", "callbacks lost", (0, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2), "{:.1%}".format)
WORKERS = control("workers", "workers", (1, 2, 3, 4, 6, 8, 12, 16, 24, 32))
VOLUME = control(
    "volume", "instances", (100, 200, 500, 1000, 2000, 5000, 10_000, 20_000), "{:,}".format
)
START = control(
    "start",
    "batch starts at",
    [f"{hour:02d}:{half}" for hour in range(24) for half in ("00", "30")],
)
ITEM = control(
    "item_time",
    "time per item of the batch",
    (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.5, 1, 2, 5),
    text_of,
)
WORK = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
POLL_WORK = control("poll_work", "worker time of a check", WORK, text_of)
CALLBACK_WORK = control("callback_work", "worker time of a callback", WORK, text_of)


class Exploration:
    """A scenario whose main settings can be changed, and what comes of it.

    Parameters
    ----------
    scenario
        Where to begin. What it does not have (a nightly batch, say) has no slider.
    """

    def __init__(self, scenario: Scenario) -> None:
        self._base = scenario
        self._batch = next(
            (name for name, s in scenario.systems.items() if isinstance(s, NightlyBatch)), None
        )
        self._played: dict[str, tuple[tuple[Any, ...], dict[str, Any]]] = {}
        self._drawn: tuple[tuple[Any, ...], Draws] | None = None
        self.controls: list[Control] = []
        self.places: dict[str, int] = {}
        self._add(INTERVAL, INTERVAL.nearest(900))
        self._add(LOSS, 0)
        self._add(WORKERS, WORKERS.nearest(scenario.server.workers))
        if isinstance(scenario.arrivals, (Poisson, Scattered, Regular)):
            self._add(VOLUME, VOLUME.nearest(len(scenario.draw(SEED))))
        if self._batch is not None:
            batch = scenario.systems[self._batch]
            assert isinstance(batch, NightlyBatch)
            if batch.start in START.values:
                self._add(START, START.values.index(batch.start))
            self._add(ITEM, ITEM.nearest(batch.item_time.mean))
        self._add(POLL_WORK, POLL_WORK.nearest(scenario.server.poll_work or 0.01))
        self._add(CALLBACK_WORK, CALLBACK_WORK.nearest(scenario.server.callback_work or 0.02))

    def _add(self, control: Control, place: int) -> None:
        self.controls.append(control)
        self.places[control.name] = place

    def set(self, name: str, place: int) -> None:
        """Move a slider."""
        found = next(control for control in self.controls if control.name == name)
        self.places[name] = min(max(int(place), 0), len(found.values) - 1)

    @property
    def settings(self) -> dict[str, Any]:
        """The value of each slider."""
        return {
            control.name: control.values[self.places[control.name]] for control in self.controls
        }

    @property
    def scenario(self) -> Scenario:
        """The scenario as the sliders have it."""
        settings, base = self.settings, self._base
        server = evolve(
            base.server,
            workers=settings["workers"],
            poll_work=settings["poll_work"],
            callback_work=settings["callback_work"],
        )
        changes: dict[str, Any] = {"server": server}
        arrivals = base.arrivals
        if "volume" in settings and isinstance(arrivals, (Poisson, Scattered, Regular)):
            when = {name: getattr(arrivals, name) for name in ("between", "days", "holidays")}
            changes["arrivals"] = Scattered(settings["volume"], **when)
        if self._batch is not None:
            batch = base.systems[self._batch]
            law = scaled(batch.item_time, settings["item_time"])
            start = {"start": settings["start"]} if "start" in settings else {}
            changed = evolve(batch, item_time=law, **start)  # type: ignore[misc]
            changes["systems"] = {**base.systems, self._batch: changed}
        return base.replace(**changes)

    def picture(self) -> dict[str, Any]:
        """Play both strategies on the same numbers; return what the page draws.

        Latencies are seconds; `curve` has one for each of `SHARES`.
        """
        settings = self.settings
        strategies = {
            "callback": Callback("50ms", loss=settings["loss"]),
            "polling": Polling(settings["interval"]),
        }
        try:
            sides = [self._side(name, strategy) for name, strategy in strategies.items()]
        except AsyncsimError as error:
            return {"problem": str(error), "instances": 0, "strategies": []}
        return {"problem": "", "instances": len(self._draws()), "strategies": sides}

    def _side(self, name: str, strategy: Strategy) -> dict[str, Any]:
        """Return the figures of one strategy; what does not concern it need not be played again."""
        key = tuple(v for k, v in self.settings.items() if k not in UNCONCERNED[name])
        if self._played.get(name, ((), {}))[0] != key:
            scenario = self.scenario
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", CensoredWarning)  # the page says how many wait
                run = simulate(scenario, strategy, draws=self._draws())
            theory = closed_form(strategy, scenario)
            found = {"name": strategy.label, "theory": theory} | figures(run.record)
            self._played[name] = key, found
        return self._played[name][1]

    def _draws(self) -> Draws:
        """Return the random numbers, drawn again only where a setting changes them."""
        key = tuple(v for k, v in self.settings.items() if k in ("volume", "item_time"))
        if self._drawn is None or self._drawn[0] != key:
            self._drawn = key, self.scenario.draw(SEED)
        return self._drawn[1]


def scaled(law: Duration, mean: float) -> Duration:
    """Return a law of the same shape with another mean."""
    try:
        if hasattr(law, "sd"):
            return type(law)(mean=mean, sd=law.sd * mean / law.mean)  # type: ignore[call-arg]
        return type(law)(mean)  # type: ignore[call-arg]
    except (TypeError, ZeroDivisionError):  # of two ends, of a sample: no mean to set
        return fixed(mean)


def closed_form(strategy: Strategy, scenario: Scenario) -> float | None:
    """Return the mean latency that theory gives for an idle server, or None.

    The batch's completions do not follow the instants of arming, so the phase of a poll against
    them is taken as random: half the interval.
    """
    if isinstance(strategy, Polling):
        return strategy.interval / 2
    expected = strategy.expected(1.0)
    return None if expected is None else float(expected.latency) + scenario.server.callback_work


def figures(record: Record) -> dict[str, Any]:
    """Return the figures of one run."""
    waits, job = record.waits, record.loads
    latency = (waits.closed - waits.completed)[waits.outcome == RESUMED]
    resumed = len(latency)
    curve = np.quantile(latency, SHARES) if resumed else np.full(len(SHARES), np.nan)
    requests = int(waits.checks.sum() + waits.deliveries.sum())
    spent = job[Job.CHECK].busy_seconds + job[Job.CALLBACK].busy_seconds
    return {
        "mean": float(latency.mean()) if resumed else None,
        "p95": float(np.quantile(latency, 0.95)) if resumed else None,
        "curve": [float(value) for value in curve] if resumed else [],
        "requests": requests / max(len(waits.row), 1),
        "worker_seconds": spent,
        "longest_queue": record.longest_queue,
        "waiting": record.open_count,
    }
