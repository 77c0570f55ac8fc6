"""The explorer without its page: settings in, metrics of callback and polling out."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import attrs
import numpy as np
from attrs import frozen

from asyncsim.capacity.target import quantile_of_all
from asyncsim.engine.metrics import compute_metrics, latencies
from asyncsim.engine.result import Record
from asyncsim.errors import AsyncsimError
from asyncsim.experiment.simulate import played
from asyncsim.model import closed_forms
from asyncsim.model.arrivals import Poisson, Regular, UniformArrivals
from asyncsim.model.distributions import Duration, Fixed
from asyncsim.model.random_streams import Draws
from asyncsim.model.scenario import Scenario, changed
from asyncsim.model.specifications import Batch, Grid
from asyncsim.model.strategies import Callback, Polling, Strategy, specification_of
from asyncsim.model.systems import single_link
from asyncsim.model.units import text_of

SHARES = np.concatenate([[0.0], np.linspace(0.02, 0.98, 49), [0.99, 0.995, 1.0]])
"""Probabilities at which quantiles of the latencies are drawn."""
SEED = 1
UNUSED = {"callback": ("interval", "poll_work"), "polling": ("loss", "callback_work")}
"""Settings without effect on a strategy."""


@frozen
class Control:
    """A slider: its name, label and values, and a function that formats a value."""

    name: str
    label: str
    values: tuple[Any, ...]
    text: Callable[[Any], str] = str

    @property
    def texts(self) -> list[str]:
        """Text of each value."""
        return [self.text(value) for value in self.values]

    def including(self, value: Any) -> Control:
        """Return the slider with a value inserted in order, unless it has it already."""
        values = self.values if value in self.values else tuple(sorted((*self.values, value)))
        return attrs.evolve(self, values=values)


INTERVALS = (60, 120, 300, 600, 900, 1800, 3600, 7200)
LOSSES = (0, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2)
VOLUMES = (100, 200, 500, 1000, 2000, 5000, 10_000, 20_000)
CLOCK = tuple(f"{hour:02d}:{half}" for hour in range(24) for half in ("00", "30"))
WORK = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
ITEM_TIMES = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.5, 1, 2, 5)
INTERVAL = Control("interval", "polling interval", INTERVALS, text_of)
LOSS = Control("loss", "callbacks lost", LOSSES, "{:.1%}".format)
WORKERS = Control("workers", "workers", (1, 2, 3, 4, 6, 8, 12, 16, 24, 32))
VOLUME = Control("volume", "instances", VOLUMES, "{:,}".format)
START = Control("start", "batch starts at", CLOCK)
ITEM = Control("item_time", "time per item of the batch", ITEM_TIMES, text_of)
POLL_WORK = Control("poll_work", "worker time of a check", WORK, text_of)
CALLBACK_WORK = Control("callback_work", "worker time of a callback", WORK, text_of)


class Exploration:
    """A scenario whose main settings can be changed, and the results.

    Parameters
    ----------
    scenario
        Where to begin. It has no sliders for parts it lacks, such as a nightly batch.
    """

    def __init__(self, scenario: Scenario) -> None:
        self._base = scenario
        self._batch = next(
            (name for name, s in scenario.systems.items() if isinstance(single_link(s), Batch)),
            None,
        )
        self._played: dict[str, tuple[tuple[Any, ...], dict[str, Any]]] = {}
        self._drawn: tuple[tuple[Any, ...], Draws] | None = None
        self.controls: list[Control] = []
        self.places: dict[str, int] = {}
        self._add(INTERVAL, 900)
        self._add(LOSS, 0)
        server, self._volume = scenario.server, len(scenario.draw(SEED))
        self._add(WORKERS, server.workers)
        if isinstance(scenario.arrivals, (Poisson, UniformArrivals, Regular)) and self._volume:
            self._add(VOLUME, self._volume)
        if self._batch is not None:
            batch = single_link(scenario.systems[self._batch])
            assert isinstance(batch, Batch)
            if batch.start in START.values:
                self._add(START, batch.start)
            if batch.item_time.mean:
                self._add(ITEM, batch.item_time.mean)
        self._add(POLL_WORK, server.poll_work)
        self._add(CALLBACK_WORK, server.callback_work)

    def _add(self, control: Control, value: Any) -> None:
        control = control.including(value)
        self.controls.append(control)
        self.places[control.name] = control.values.index(value)

    def set(self, name: str, place: int) -> None:
        """Move a slider to a place in its values."""
        found = next(control for control in self.controls if control.name == name)
        self.places[name] = min(max(int(place), 0), len(found.values) - 1)

    @property
    def settings(self) -> dict[str, Any]:
        """Value of each slider, by name."""
        return {
            control.name: control.values[self.places[control.name]] for control in self.controls
        }

    @property
    def scenario(self) -> Scenario:
        """The scenario with the settings of the sliders."""
        settings, base = self.settings, self._base
        names = ("workers", "poll_work", "callback_work")
        changes: dict[str, Any] = {f"server.{name}": settings[name] for name in names}
        arrivals, volume = base.arrivals, settings.get("volume", self._volume)
        if volume != self._volume and isinstance(arrivals, (Poisson, UniformArrivals, Regular)):
            when = {name: getattr(arrivals, name) for name in ("between", "days", "holidays")}
            changes["arrivals"] = UniformArrivals(volume, **when)
        batch = f"systems.{self._batch}"
        if "start" in settings:
            changes[f"{batch}.start"] = settings["start"]
        if "item_time" in settings:
            item_time = base.systems[str(self._batch)].item_time
            changes[f"{batch}.item_time"] = scaled(item_time, settings["item_time"])
        return changed(base, changes)

    def picture(self) -> dict[str, Any]:
        """Simulate both strategies on the same random numbers; return what the page draws.

        Latencies are in seconds; `curve` has the quantiles at `SHARES`. `mean` is taken over
        resumed waits, `p95` over all armed waits: None if more than 5 % of them never resumed.
        """
        settings = self.settings
        strategies = {
            "callback": Callback("50ms", loss=settings["loss"]),
            "polling": Polling(settings["interval"]),
        }
        try:
            results = [self._result(name, strategy) for name, strategy in strategies.items()]
        except AsyncsimError as error:
            return {"problem": str(error), "instances": 0, "strategies": []}
        return {"problem": "", "instances": len(self._draws()), "strategies": results}

    def _result(self, name: str, strategy: Strategy) -> dict[str, Any]:
        """Return the metrics of one strategy, simulated again if its settings have changed."""
        key = tuple(v for k, v in self.settings.items() if k not in UNUSED[name])
        if self._played.get(name, ((), {}))[0] != key:
            scenario = self.scenario
            run = played(scenario, strategy, self._draws())  # the page shows unresumed waits
            found = {"name": strategy.label} | closed_form(strategy, scenario)
            found |= metrics_shown(run.record, scenario)
            self._played[name] = key, found
        return self._played[name][1]

    def _draws(self) -> Draws:
        """Return the random numbers, drawn again if a setting changes them."""
        key = tuple(v for k, v in self.settings.items() if k in ("volume", "item_time"))
        if self._drawn is None or self._drawn[0] != key:
            self._drawn = key, self.scenario.draw(SEED)
        return self._drawn[1]


def scaled(distribution: Duration, mean: float) -> Duration:
    """Return a distribution of the same shape with another mean."""
    if distribution.mean == mean:
        return distribution
    factor = mean / distribution.mean
    changes: dict[str, Any] = {}
    for part in attrs.fields(type(distribution)):  # type: ignore[arg-type]
        value = getattr(distribution, part.name)  # a time, several times, or None: no such bound
        if value is not None:
            several = isinstance(value, tuple)
            changes[part.alias] = [v * factor for v in value] if several else value * factor
    return type(distribution)(**changes)


def closed_form(strategy: Strategy, scenario: Scenario) -> dict[str, float | None]:
    """Return mean latency and unresumed share of the closed form, for an idle server.

    Completions of a batch do not depend on the instants of arming, so the phase of a poll is
    random: its mean latency is half the interval.
    """
    found = specification_of(strategy)
    if found is not None and isinstance(found.checks, Grid):
        found = attrs.evolve(found, checks=attrs.evolve(found.checks, anchor="random"))
    expected = None if found is None else closed_forms.expected(found, Fixed(1.0))
    if found is None or expected is None:
        return {"theory": None, "theory_unresumed": 0.0}
    work = scenario.server.callback_work if found.deliveries else 0.0
    return {"theory": float(expected.latency) + work, "theory_unresumed": expected.unresolved}


def metrics_shown(record: Record, scenario: Scenario) -> dict[str, Any]:
    """Return the metrics of a run that the page shows."""
    late, found = latencies(record), compute_metrics(record, scenario)
    resumed, armed = len(late) > 0, len(record.waits.row)
    p95 = quantile_of_all(late, armed - len(late), 0.95)
    return {
        "armed": armed,
        "unresumed": armed - len(late),
        "mean": found["mean_latency"] if resumed else None,
        "p95": p95 if math.isfinite(p95) else None,
        "curve": np.quantile(late, SHARES).tolist() if resumed else [],
        "requests": found["requests"] / max(found["armed"], 1.0),
        "worker_seconds": found["overhead_worker_time"],
        "longest_queue": record.longest_queue,
    }
