"""The explorer: sliders, and their effect on the latency and overhead of callback and polling.

`Explorer` is the widget; `Exploration` holds its settings and results, and needs no page.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, TypeVar

import attrs
import numpy as np
import traitlets
from attrs import frozen

from asyncsim.capacity.target import quantile_of_all
from asyncsim.engine.metrics import compute_metrics, latencies
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
from asyncsim.widgets.base import BaseWidget, read_assets

T = TypeVar("T")


class Explorer(BaseWidget):
    """Sliders, and a chart of callback and polling; made by `asyncsim.explore`."""

    _esm = read_assets("elements.js", "explorer.js")

    state = traitlets.Dict().tag(sync=True)  # sliders and results; see `Exploration.picture`

    def __init__(self, scenario: Scenario) -> None:
        self.exploration = Exploration(scenario)
        self._stamp = 0.0
        super().__init__()
        self.refresh()

    def refresh(self) -> None:
        """Send the results of the present settings to the page."""
        exploration = self.exploration
        self.state = {
            "scenario": exploration.scenario.name,
            "controls": [
                {"name": one.name, "label": one.label, "texts": [*map(one.text, one.values)]}
                for one in exploration.controls
            ],
            "places": dict(exploration.places),
            "shares": SHARES.tolist(),
            "stamp": self._stamp,
            **exploration.picture(),
        }

    def on_message(self, message: Mapping[str, Any]) -> None:
        """Move sliders; the page sends no further moves before it has the results."""
        for name, place in message["moves"].items():
            self.exploration.set(name, place)
        self._stamp = message["stamp"]
        self.refresh()


@frozen
class Control:
    """A slider: its name, label and values, and a function that formats a value."""

    name: str
    label: str
    values: tuple[Any, ...]
    text: Callable[[Any], str] = str

    def including(self, value: Any) -> Control:
        """Return the slider with a value inserted in order, unless it has it already."""
        values = self.values if value in self.values else tuple(sorted((*self.values, value)))
        return attrs.evolve(self, values=values)


# Probabilities at which quantiles of the latencies are drawn
SHARES = np.concatenate([[0.0], np.linspace(0.02, 0.98, 49), [0.99, 0.995, 1.0]])
SEED = 1
CLOCK = tuple(f"{hour:02d}:{half}" for hour in range(24) for half in ("00", "30"))
WORK = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
ITEM_TIMES = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.5, 1, 2, 5)
INTERVAL = Control(
    "interval", "polling interval", (60, 120, 300, 600, 900, 1800, 3600, 7200), text_of
)
CONTROLS = (
    INTERVAL,
    Control("loss", "callbacks lost", (0, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2), "{:.1%}".format),
    Control("workers", "workers", (1, 2, 3, 4, 6, 8, 12, 16, 24, 32)),
    Control(
        *("volume", "instances", (100, 200, 500, 1000, 2000, 5000, 10_000, 20_000)), "{:,}".format
    ),
    Control("start", "batch starts at", CLOCK),
    Control("item_time", "time per item of the batch", ITEM_TIMES, text_of),
    Control("poll_work", "worker time of a check", WORK, text_of),
    Control("callback_work", "worker time of a callback", WORK, text_of),
)
SERVER = ("workers", "poll_work", "callback_work")
UNUSED = {"callback": ("interval", "poll_work"), "polling": ("loss", "callback_work")}
"""Settings without effect on a strategy."""


class Exploration:
    """A scenario whose main settings (those it has) can be changed, and the results."""

    def __init__(self, scenario: Scenario) -> None:
        self._base = scenario
        self._cache: dict[str, tuple[tuple[Any, ...], Any]] = {}
        server, self._volume = scenario.server, len(scenario.draw(SEED))
        first: dict[str, Any] = {"interval": 900, "loss": 0}
        first |= {name: getattr(server, name) for name in SERVER}
        if isinstance(scenario.arrivals, (Poisson, UniformArrivals, Regular)) and self._volume:
            first["volume"] = self._volume
        links = ((name, single_link(system)) for name, system in scenario.systems.items())
        batches = ((name, link) for name, link in links if isinstance(link, Batch))
        self._batch, batch = next(batches, ("", None))
        if batch is not None and batch.start in CLOCK:
            first["start"] = batch.start
        if batch is not None and batch.item_time.mean:
            first["item_time"] = batch.item_time.mean
        self.controls = [one.including(first[one.name]) for one in CONTROLS if one.name in first]
        self.places = {one.name: one.values.index(first[one.name]) for one in self.controls}

    def set(self, name: str, place: int) -> None:
        """Move a slider to a place in its values."""
        found = next(control for control in self.controls if control.name == name)
        self.places[name] = min(max(int(place), 0), len(found.values) - 1)

    @property
    def settings(self) -> dict[str, Any]:
        """Value of each slider, by name."""
        return {one.name: one.values[self.places[one.name]] for one in self.controls}

    @property
    def scenario(self) -> Scenario:
        """The scenario with the settings of the sliders."""
        settings, base = self.settings, self._base
        changes = {f"server.{name}": settings[name] for name in SERVER}
        arrivals, volume = base.arrivals, settings.get("volume", self._volume)
        if volume != self._volume and isinstance(arrivals, (Poisson, UniformArrivals, Regular)):
            when = {name: getattr(arrivals, name) for name in ("between", "days", "holidays")}
            changes["arrivals"] = UniformArrivals(volume, **when)
        batch = f"systems.{self._batch}"
        if "start" in settings:
            changes[f"{batch}.start"] = settings["start"]
        if "item_time" in settings:
            item_time = base.systems[self._batch].item_time
            changes[f"{batch}.item_time"] = scaled(item_time, settings["item_time"])
        return changed(base, changes)

    def picture(self) -> dict[str, Any]:
        """Simulate both strategies on the same random numbers; return what the page draws."""
        settings = self.settings
        strategies = {
            "callback": Callback("50ms", loss=settings["loss"]),
            "polling": Polling(settings["interval"]),
        }
        no_draws = [name for name in settings if name not in ("volume", "item_time")]
        try:
            scenario = self.scenario
            draws = self._cached("draws", no_draws, partial(scenario.draw, SEED))
            results = [
                self._cached(name, UNUSED[name], partial(result, strategy, scenario, draws))
                for name, strategy in strategies.items()
            ]
        except AsyncsimError as error:
            return {"problem": str(error), "instances": 0, "strategies": []}
        return {"problem": "", "instances": len(draws), "strategies": results}

    def _cached(self, name: str, unused: Iterable[str], make: Callable[[], T]) -> T:
        """Return what is made of the settings, made again if one that it uses has changed."""
        key = tuple(value for name, value in self.settings.items() if name not in unused)
        if name not in self._cache or self._cache[name][0] != key:
            self._cache[name] = key, make()
        found: T = self._cache[name][1]
        return found


def result(strategy: Strategy, scenario: Scenario, draws: Draws) -> dict[str, Any]:
    """Return the metrics of one strategy that the page shows."""
    record = played(scenario, strategy, draws).record  # the page shows unresumed waits
    late, found = latencies(record), compute_metrics(record, scenario)
    resumed, armed = len(late) > 0, len(record.waits.row)
    p95 = quantile_of_all(late, armed - len(late), 0.95)
    return closed_form(strategy, scenario) | {
        "name": strategy.label,
        "armed": armed,
        "unresumed": armed - len(late),
        "mean": found["mean_latency"] if resumed else None,
        "p95": p95 if math.isfinite(p95) else None,
        "curve": np.quantile(late, SHARES).tolist() if resumed else [],
        "requests": found["requests"] / max(found["armed"], 1.0),
        "worker_seconds": found["overhead_worker_time"],
        "longest_queue": record.longest_queue,
    }


def closed_form(strategy: Strategy, scenario: Scenario) -> dict[str, Any]:
    """Return latency and unresumed share by closed form, for an idle server and a random phase."""
    found = specification_of(strategy)
    if found is not None and isinstance(found.checks, Grid):
        found = attrs.evolve(found, checks=attrs.evolve(found.checks, anchor="random"))
    expected = None if found is None else closed_forms.expected(found, Fixed(1.0))
    if found is None or expected is None:
        return {"theory": None, "theory_unresumed": 0.0}
    server = scenario.server
    work = server.engine_delay.mean + (server.callback_seconds if found.deliveries else 0.0)
    return {"theory": float(expected.latency) + work, "theory_unresumed": expected.unresolved}


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
