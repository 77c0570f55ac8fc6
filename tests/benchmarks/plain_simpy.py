"""Scenario R written by hand with SimPy: the yardstick of every speed ratio.

N instances arrive over 08:00-20:00; a step (exponential, 0.2 s) on 4 workers; an external batch at
22:00 works through the items one after the other (lognormal, about 0.15 s, within 0.05-0.5 s);
then a callback (50 ms on the network, 20 ms of a worker) or polling every 60 s (10 ms of a worker
per check); then a last step (exponential, 0.2 s).

Nothing here is tuned and nothing is taken from asyncsim: `simpy.Resource` for the workers, one
process per instance, lists for the results.
"""

from __future__ import annotations

import random
from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import simpy

HOUR = 3600.0
WORKERS = 4
BATCH_START = 22 * HOUR
NETWORK_DELAY = 0.05
CALLBACK_WORK = 0.02
POLL_INTERVAL = 60.0
POLL_WORK = 0.01

Process = Generator[simpy.Event, Any, None]


@dataclass
class Numbers:
    """The random numbers of one run, drawn ahead so that every model can be given the same."""

    arrivals: np.ndarray
    first_work: np.ndarray
    item_times: np.ndarray
    last_work: np.ndarray

    @classmethod
    def draw(cls, n: int, seed: int = 1) -> Numbers:
        rng = np.random.default_rng(seed)
        return cls(
            arrivals=np.sort(rng.uniform(8 * HOUR, 20 * HOUR, n)),
            first_work=rng.exponential(0.2, n),
            item_times=np.clip(rng.lognormal(np.log(0.14), 0.4, n), 0.05, 0.5),
            last_work=rng.exponential(0.2, n),
        )


@dataclass
class Result:
    """What the run recorded: one entry per instance, in order of resumption."""

    completed: list[float] = field(default_factory=list)
    resumed: list[float] = field(default_factory=list)
    ended: list[float] = field(default_factory=list)
    checks: int = 0

    @property
    def mean_latency(self) -> float:
        return float(np.mean(np.array(self.resumed) - np.array(self.completed)))


class Model:
    """The hand-written model; ``strategy`` is ``"callback"`` or ``"polling"``.

    A check takes `poll_work` seconds of a worker and is up to `jitter` seconds late on its grid.
    """

    def __init__(
        self, numbers: Numbers, strategy: str, poll_work: float = POLL_WORK, jitter: float = 0.0
    ) -> None:
        self.env = simpy.Environment()
        self.workers = simpy.Resource(self.env, WORKERS)
        self.numbers = numbers
        self.strategy = strategy
        self.poll_work = poll_work
        self.jitter = jitter
        self.random = random.Random(1)
        self.inbox: list[tuple[int, simpy.Event]] = []
        self.completed_at: dict[int, float] = {}
        self.result = Result()

    def run(self) -> Result:
        self.env.process(self.arrive())
        self.env.process(self.batch())
        self.env.run()
        return self.result

    def arrive(self) -> Process:
        for i, at in enumerate(self.numbers.arrivals.tolist()):
            yield self.env.timeout(at - self.env.now)
            self.env.process(self.instance(i))

    def batch(self) -> Process:
        yield self.env.timeout(BATCH_START)
        times = self.numbers.item_times.tolist()
        for i, done in self.inbox:
            yield self.env.timeout(times[i])
            self.completed_at[i] = self.env.now
            done.succeed()

    def work(self, duration: float) -> Process:
        with self.workers.request() as worker:
            yield worker
            yield self.env.timeout(duration)

    def instance(self, i: int) -> Process:
        yield from self.work(float(self.numbers.first_work[i]))
        done = self.env.event()
        self.inbox.append((i, done))
        if self.strategy == "callback":
            yield done
            yield self.env.timeout(NETWORK_DELAY)
            yield from self.work(CALLBACK_WORK)
        else:
            yield from self.poll(i)
        self.result.completed.append(self.completed_at[i])
        self.result.resumed.append(self.env.now)
        yield from self.work(float(self.numbers.last_work[i]))
        self.result.ended.append(self.env.now)

    def poll(self, i: int) -> Process:
        armed, k = self.env.now, 0
        while True:
            k += 1
            while armed + k * POLL_INTERVAL <= self.env.now:
                k += 1
            due = armed + k * POLL_INTERVAL
            if self.jitter:
                due += self.random.random() * self.jitter
            yield self.env.timeout(due - self.env.now)
            if self.poll_work:
                with self.workers.request() as worker:
                    yield worker
                    seen = i in self.completed_at
                    yield self.env.timeout(self.poll_work)
            else:
                seen = i in self.completed_at
            self.result.checks += 1
            if seen:
                return
