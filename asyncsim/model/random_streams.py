"""All random numbers of a run, drawn ahead, each source from its own named stream.

A stream is keyed by its *name*, the seed and the replication, never by the order of calls: adding a
step does not move the arrivals, and two strategies get the same numbers. An engine is a
deterministic function of scenario, strategy and draws; you can bring your own draws, or a log.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike

from asyncsim.errors import ScenarioError
from asyncsim.model.arrivals import Arrivals
from asyncsim.model.calendar import Calendar
from asyncsim.model.distributions import Duration, Fixed, Floats, Uniform
from asyncsim.model.loops import Delay, ForEach, Repeat, Retry
from asyncsim.model.process import AsyncStep, Choice, Element, Process, Step
from asyncsim.model.systems import ExternalSystem
from asyncsim.model.units import from_zero, nearest
from asyncsim.model.validation import argument, scenario_error

MASK = (1 << 64) - 1
CHANCE = Uniform(0.0, 1.0)
Columns = dict[str, Duration]  # of an array: its streams, and what is drawn from each


def mix(z: int) -> int:
    """Scramble 64 bits (the finaliser of SplitMix64; Steele, Lea & Flood 2014)."""
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return z ^ (z >> 31)


def counter_based_uniform(key: int, i: int, k: int) -> float:
    """Return the uniform number in [0, 1) at place (i, k) of an endless table.

    A function of three integers rather than a generator: the number of checks of a wait is not
    known ahead, and the k-th must not depend on how many the others took.
    """
    place = mix((key + (i + 1) * 0x9E3779B97F4A7C15) & MASK)
    return (mix((place + (k + 1) * 0xD1B54A32D192ED03) & MASK) >> 11) * 2.0**-53


def _name_key(name: str) -> int:
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little")


class _Drawable(Protocol):
    """The part of a scenario that its numbers depend on."""

    @property
    def process(self) -> Process: ...
    @property
    def systems(self) -> Mapping[str, ExternalSystem]: ...
    @property
    def arrivals(self) -> Arrivals: ...
    @property
    def calendar(self) -> Calendar: ...
    @property
    def length(self) -> float: ...


class Draws:
    """Random numbers of one run.

    >>> sim.Draws([0.0, 60.0], external={"post": [5.0, 7.0]})
    Draws(2 instances, seed=0, replication=0)

    Parameters
    ----------
    arrivals
        Instants at which instances start, in seconds, shape ``(n,)``, sorted.
    work
        Worker time of every step and every outgoing call by step name, each ``(n,)`` seconds; also
        the times of delays. The second copy of a step in a loop is ``"name#2"``, here and below.
    external
        Time an external system works on the item, by the name of the asynchronous step: ``(n,)``
        seconds, or ``(n, links)`` for a chain.
    choices, responses
        Uniform numbers in [0, 1) that decide choices and immediate responses, by name, ``(n,)``;
        by the name of a `Repeat` or `ForEach`, its rounds or the number of its items.
    seed, replication
        Key of the streams that strategies and systems draw from during the run.

    Raises
    ------
    ScenarioError
        If an array has the wrong length, or holds NaN, infinity, a negative time, or a uniform
        number that is not below 1.
    """

    def __init__(
        self,
        arrivals: ArrayLike,
        *,
        work: Mapping[str, ArrayLike] | None = None,
        external: Mapping[str, ArrayLike] | None = None,
        choices: Mapping[str, ArrayLike] | None = None,
        responses: Mapping[str, ArrayLike] | None = None,
        seed: int = 0,
        replication: int = 0,
    ) -> None:
        self.arrivals = _checked("arrivals", arrivals)
        if np.any(np.diff(self.arrivals) < 0):
            raise ScenarioError("Draws.arrivals must be sorted, the earliest first")
        n = len(self.arrivals)
        self.work = _by_name("work", work, n)
        self.external = _by_name("external", external, n)
        self.choices = _by_name("choices", choices, n, below=1)
        self.responses = _by_name("responses", responses, n, below=1)
        self.seed = key_part("Draws.seed", seed)
        self.replication = key_part("Draws.replication", replication)
        self._columns: dict[tuple[str, Duration, int], Floats] = {}

    def __len__(self) -> int:
        """Return the number of instances."""
        return len(self.arrivals)

    def __repr__(self) -> str:
        return f"Draws({len(self)} instances, seed={self.seed}, replication={self.replication})"

    def rng(self, name: str) -> np.random.Generator:
        """Return the generator of a named stream, from its beginning."""
        return stream(name, self.seed, self.replication)

    def key(self, name: str) -> int:
        """Return the key of a named endless table for `counter_based_uniform`."""
        return mix((_name_key(name) ^ mix(self.seed & MASK) ^ mix(~self.replication & MASK)) & MASK)

    def column(self, name: str, distribution: Duration, k: int) -> Floats:
        """Return the k-th duration of every instance for one purpose, shape ``(n,)``."""
        place = (name, distribution, k)
        if place not in self._columns:
            self._columns[place] = distribution.sample(self.rng(f"{name}/{k}"), len(self))
        return self._columns[place]

    def completed_for(self, scenario: _Drawable) -> Draws:
        """Return these draws with what the scenario needs besides drawn from the seed.

        Raises
        ------
        ScenarioError
            If they hold a name that the scenario does not have, or an array of a wrong shape; or
            if a system taken from a log has fewer completions than there are instances.
        """
        needed = _needed(scenario, len(self))
        for what, arrays in needed.items():
            for name, array in getattr(self, what).items():
                if name not in arrays:
                    raise ScenarioError(
                        f"Draws.{what} has {name!r}, which the scenario does not know"
                        f"{nearest(name, arrays)}"
                    )
                links = len(arrays[name])
                shape = (len(self),) if links == 1 else (len(self), links)
                if array.shape != shape:
                    raise ScenarioError(
                        f"Draws.{what}[{name!r}] must have shape {shape}, got {array.shape}"
                    )
        if all(len(getattr(self, what)) == len(arrays) for what, arrays in needed.items()):
            return self
        completed: dict[str, dict[str, Floats]] = {}
        for what, arrays in needed.items():
            own = getattr(self, what)
            completed[what] = own | {
                name: self._drawn(columns) for name, columns in arrays.items() if name not in own
            }
        return Draws(self.arrivals, **completed, seed=self.seed, replication=self.replication)

    def _drawn(self, columns: Columns) -> Floats:
        drawn = [times.sample(self.rng(name), len(self)) for name, times in columns.items()]
        return drawn[0] if len(drawn) == 1 else np.stack(drawn, axis=1)


def _needed(scenario: _Drawable, n: int) -> dict[str, dict[str, Columns]]:
    """Return the columns of all arrays of `n` instances, by the kind and the name of the array."""
    played = list(scenario.process.played())
    calls = [(element, label) for element, label in played if isinstance(element, AsyncStep)]
    external: dict[str, Columns] = {}
    for call, name in calls:
        links = scenario.systems[call.system].links
        for link in links:
            if link.instances is not None and link.instances < n:
                raise ScenarioError(
                    f"LoggedCompletions.completions must hold an instant for each of {n} "
                    f"instances, got {link.instances}"
                )
        external[name] = {f"external/{name}/{k}": link.item_time for k, link in enumerate(links)}
    works = ((label, _time_of(element, label)) for element, label in played)
    work = {label: time for label, time in works if time is not None}
    chosen = [label for element, label in played if isinstance(element, Choice | Repeat | ForEach)]
    return {
        "work": {name: {f"work/{name}": times} for name, times in work.items()},
        "external": external,
        "choices": {name: {f"choice/{name}": CHANCE} for name in chosen},
        "responses": {name: {f"response/{name}": CHANCE} for _, name in calls},
    }


def _time_of(element: Element, label: str) -> Duration | None:
    """Return the time that a copy of an element takes by itself, if any."""
    match element:
        case Step():
            return element.work
        case AsyncStep():
            return element.call_work
        case Delay():
            return element.time
        case Retry():
            return Fixed(element.pause_before(int(label.rpartition("#")[2].rpartition(".")[2])))
    return None


def stream(name: str, seed: int, replication: int) -> np.random.Generator:
    """Return the random generator of a named stream."""
    name_key = _name_key(name)
    sequence = np.random.SeedSequence(
        entropy=seed, spawn_key=(name_key >> 32, name_key & 0xFFFFFFFF, replication)
    )
    return np.random.Generator(np.random.PCG64(sequence))


def draw_for(
    scenario: _Drawable, seed: int, replication: int, arrivals: Floats | None = None
) -> Draws:
    """Return all draws of a scenario, for given arrivals or for those of its own."""
    if arrivals is None:
        rng = stream("arrivals", seed, replication)
        arrivals = scenario.arrivals.draw(rng, scenario.calendar, scenario.length)
    return Draws(arrivals, seed=seed, replication=replication).completed_for(scenario)


def key_part(name: str, value: int) -> int:
    """Return a seed or a replication number: a whole number from 0."""
    return argument(name, value, from_zero)


def _by_name(
    what: str, arrays: Mapping[str, ArrayLike] | None, n: int, below: float = math.inf
) -> dict[str, Floats]:
    if arrays is None:
        return {}
    if not isinstance(arrays, Mapping) or not all(isinstance(name, str) for name in arrays):
        raise scenario_error(f"Draws.{what}", "must map names of steps to arrays", arrays)
    return {
        name: _checked(f"{what}[{name!r}]", values, n, below) for name, values in arrays.items()
    }


def _checked(name: str, values: ArrayLike, n: int | None = None, below: float = math.inf) -> Floats:
    """Return an array of numbers from 0 to below a bound: `n` rows, or one axis of any length."""
    try:
        found = np.asarray(values)
        if found.dtype.kind not in "iufO":  # timestamps would pass as nanoseconds
            raise TypeError
        array = found.astype(float)
    except (TypeError, ValueError, OverflowError):
        raise scenario_error(f"Draws.{name}", "must be an array of numbers", values) from None
    if array.ndim not in ((1,) if n is None else (1, 2)):
        raise ScenarioError(f"Draws.{name} must have one number per instance, got {array.shape}")
    if n is not None and len(array) != n:
        raise ScenarioError(
            f"Draws.{name} must have one number per instance ({n}), got {len(array)}"
        )
    wrong = array[~(np.isfinite(array) & (array >= 0))]
    if len(wrong):
        raise scenario_error(f"Draws.{name}", "must be finite and not negative", float(wrong[0]))
    if np.any(array >= below):
        raise scenario_error(f"Draws.{name}", "must be below 1", float(array.max()))
    return array
