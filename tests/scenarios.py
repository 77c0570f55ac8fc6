"""Hypothesis makes scenarios and waiting strategies: small ones, in which ties are likely.

Times are round numbers, so that arrivals, checks, completions and time-outs often fall together.
Intervals are kept long enough for the reference engine to play a scenario in a few milliseconds.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from datetime import date

import numpy as np
from attrs import evolve
from hypothesis import strategies as st

from asyncsim.model.arrivals import (
    Arrivals,
    ArrivalTimes,
    Poisson,
    Regular,
    UniformArrivals,
    WeeklyPoisson,
)
from asyncsim.model.distributions import (
    Duration,
    Empirical,
    Exponential,
    Fixed,
    Gamma,
    Lognormal,
    Uniform,
)
from asyncsim.model.loops import Delay, ForEach, Repeat, Retry
from asyncsim.model.mixed_strategies import Strategies
from asyncsim.model.outages import PARTS, Outage
from asyncsim.model.process import (
    AsyncStep,
    Branch,
    Choice,
    Element,
    Parallel,
    Process,
    Response,
    Step,
)
from asyncsim.model.scenario import Scenario
from asyncsim.model.server import AFTERWARDS, CostModel, FinishPolicy, SharedStore, WorkflowServer
from asyncsim.model.strategies import (
    Backoff,
    Callback,
    CallbackWithSafetyPoll,
    LongPolling,
    Polling,
    PollingAfter,
    PollingAt,
    ServerDirected,
    SharedPoll,
    Strategy,
)
from asyncsim.model.systems import (
    Chain,
    ExternalSystem,
    LoggedCompletions,
    NightlyBatch,
    OnlineService,
    People,
)

MOST_INSTANCES = 30
DAY = 86400.0
# A Monday, the two nights on which Berlin's clocks jump, and a day before public holidays
STARTS = [date(2026, 1, 5), date(2026, 3, 28), date(2026, 10, 24), date(2026, 12, 24)]
# Several runs a day, one of them in the hour that a night skips, and their cut-offs
RUNS, BEFORE_RUNS = ("02:30", "03:00", "13:00", "22:00"), ("23:00", "02:30", "10:30", "21:45")

positive_times = st.sampled_from([1.0, 10.0, 60.0, 300.0, 600.0, 1800.0])
times = st.just(0.0) | positive_times
long_times = st.sampled_from([600.0, 900.0, 1800.0, 3600.0])
shares = st.sampled_from([0.0, 0.1, 0.25, 0.5])
weekdays = st.sampled_from(["every day", "Mon-Fri", "Fri-Mon", "Mon, Wed, Sat"])
windows = st.sampled_from([("00:00", "24:00"), ("08:00", "20:00"), ("02:30", "12:00")])
places = st.sampled_from([None, "DE", "DE-BY"])
# So small that callbacks of one batch, or the attempts of one sender, meet them
limits = st.sampled_from(
    ["2 refilled 1/s", "1 refilled 3/min", "3 refilled 0.1/s", "3 per 10 s", "1 per 60 s", "2/1h"]
)


@st.composite
def _wide_laws(draw: st.DrawFn) -> Duration:
    mean = draw(positive_times)
    kind = draw(st.sampled_from(["exponential", "lognormal", "uniform", "gamma", "empirical"]))
    if kind == "exponential":
        return Exponential(mean)
    if kind == "lognormal":
        low = draw(st.sampled_from([0.0, mean / 2]))
        high = draw(st.sampled_from([None, mean * 2]))
        return Lognormal(mean, mean * draw(st.sampled_from([0.5, 1.0, 2.0])), low, high)
    if kind == "uniform":
        return Uniform(draw(st.sampled_from([0.0, mean / 2])), mean)
    if kind == "gamma":
        return Gamma(mean, mean / 2)
    return Empirical(draw(st.lists(times, min_size=1, max_size=4)))


def laws() -> st.SearchStrategy[Duration]:
    """Make laws of durations, most of them fixed."""
    return times.map(Fixed) | times.map(Fixed) | _wide_laws()


@st.composite
def responses(draw: st.DrawFn) -> Response:
    """Make shares of the immediate response."""
    done, rejected = draw(shares), draw(shares)
    return Response(accepted=1.0 - done - rejected, done=done, rejected=rejected)


_deadlines = st.fixed_dictionaries(
    {},
    optional={
        "step_timeout": long_times | positive_times,
        "until": st.sampled_from(["08:20", "02:30", "22:10", "*/20 * * * *", "5 22-23 * * 1-5"]),
        "withdraw": st.booleans(),
    },
)


class _Writer:
    """Writes the elements of one process, each with a name of its own."""

    def __init__(
        self, systems: list[str], prefixes: st.SearchStrategy[str], deadlines: bool = False
    ) -> None:
        self.systems = systems
        self.deadlines = deadlines
        self.prefixes = prefixes
        self.numbers: Iterator[int] = itertools.count(1)

    def name(self, draw: st.DrawFn, word: str) -> str:
        return f"{draw(self.prefixes)}{word} {next(self.numbers)}"

    def elements(self, draw: st.DrawFn, depth: int, least: int = 0) -> list[Element]:
        number = draw(st.integers(least, 3 if depth else 2))
        return [self.element(draw, depth) for _ in range(number)]

    def element(self, draw: st.DrawFn, depth: int) -> Element:
        kinds = [self.step, self.async_step, self.delay]
        if depth:
            kinds += [self.choice, self.parallel, self.retry, self.repeat, self.for_each]
        return draw(st.sampled_from(kinds))(draw, depth)

    def step(self, draw: st.DrawFn, depth: int) -> Element:
        return Step(self.name(draw, "step"), draw(laws()))

    def path(self, draw: st.DrawFn, depth: int) -> str | list[Element]:
        ways = ["fail", "continue", "steps"] if depth else ["fail", "continue"]
        way = draw(st.sampled_from(ways))
        return self.elements(draw, depth - 1) if way == "steps" else way

    def async_step(self, draw: st.DrawFn, depth: int) -> Element:
        arm = draw(st.sampled_from(["after call", "before call"]))
        return AsyncStep(
            self.name(draw, "wait"),
            draw(st.sampled_from(self.systems)),
            call_work=draw(laws()),
            arm=arm,
            arm_delay=draw(times) if arm == "after call" else 0.0,
            response=draw(st.just(Response()) | responses()),
            timeout=draw(st.none() | long_times),
            **(draw(_deadlines) if self.deadlines else {}),
            on_accepted=self.between(draw) if self.deadlines and arm == "after call" else [],
            on_done=self.path(draw, depth),
            on_rejected=self.path(draw, depth),
            on_timeout=self.path(draw, depth),
        )

    def between(self, draw: st.DrawFn) -> list[Element]:
        return [self.step(draw, 0)] if draw(st.booleans()) else []

    def delay(self, draw: st.DrawFn, depth: int) -> Element:
        return Delay(draw(laws()), name=self.name(draw, "delay"))

    def retry(self, draw: st.DrawFn, depth: int) -> Element:
        attempts, pause = draw(st.integers(1, 3)), draw(times)
        backoff, name = draw(st.sampled_from([1.0, 2.0])), self.name(draw, "retry")
        step = self.async_step(draw, depth - 1)
        return Retry(step, attempts=attempts, pause=pause, backoff=backoff, name=name)

    def repeat(self, draw: st.DrawFn, depth: int) -> Element:
        steps, most = self.elements(draw, depth - 1, least=1), draw(st.integers(1, 3))
        name = self.name(draw, "repeat")
        return Repeat(steps, until_probability=draw(shares), most=most, name=name)

    def for_each(self, draw: st.DrawFn, depth: int) -> Element:
        steps, name = self.elements(draw, depth - 1, least=1), self.name(draw, "each")
        share = draw(shares)
        counts = draw(st.sampled_from([2, {0: share, 3: 1 - share}, {1: share, 2: 1 - share}]))
        return ForEach(counts, steps, name=name)

    def choice(self, draw: st.DrawFn, depth: int) -> Element:
        share = draw(shares)
        ways = [
            Branch(share, self.elements(draw, depth - 1)),
            Branch(1.0 - share, self.elements(draw, depth - 1)),
        ]
        return Choice(self.name(draw, "choice"), ways)

    def parallel(self, draw: st.DrawFn, depth: int) -> Element:
        number = draw(st.integers(2, 3))
        ways = [self.elements(draw, depth - 1, least=1) for _ in range(number)]
        return Parallel(self.name(draw, "parallel"), ways)


@st.composite
def batches(draw: st.DrawFn) -> NightlyBatch:
    """Make nightly batches with cut-offs, ends, limits, failures, some with several runs a day."""
    start = draw(
        st.sampled_from(["22:00", "02:30", "03:00", "24:00", "00:00", "0 22 * * 1-5", RUNS])
    )
    cut_offs = [None, "20:00", "23:00", "02:30"] if start != RUNS else [None, BEFORE_RUNS]
    return NightlyBatch(
        start,
        draw(laws()),
        days=draw(weekdays),
        holidays=draw(places),
        cut_off=draw(st.sampled_from(cut_offs)),
        lanes=draw(st.integers(1, 3)),
        max_items=draw(st.none() | st.integers(10, 20)),
        end=draw(st.sampled_from([None, "05:00", "03:15"])),
        skip=draw(shares),
        failure=draw(shares),
        results=draw(st.sampled_from(["per item", "at end"])),
    )


@st.composite
def teams(draw: st.DrawFn) -> People:
    """Make teams of people with working hours."""
    return People(
        draw(st.integers(1, 3)),
        draw(laws()),
        between=draw(windows),
        days=draw(weekdays),
        holidays=draw(places),
    )


def services() -> st.SearchStrategy[OnlineService]:
    """Make online services, some of them with any number of lanes."""
    return st.builds(OnlineService, laws(), lanes=st.none() | st.integers(1, 3))


def logs() -> st.SearchStrategy[LoggedCompletions]:
    """Make systems whose completions come from a log."""
    day = st.lists(times.map(lambda t: t * 40), min_size=1, max_size=5)
    return day.map(
        lambda found: LoggedCompletions((found * 2 * MOST_INSTANCES)[: 2 * MOST_INSTANCES])
    )


def systems(depth: int = 1) -> st.SearchStrategy[ExternalSystem]:
    """Make external systems of every kind, also chains of them."""
    plain = batches() | teams() | services() | logs()
    if not depth:
        return plain
    return plain | st.lists(systems(depth - 1), min_size=2, max_size=3).map(Chain)


@st.composite
def weekly_rates(draw: st.DrawFn) -> list[list[float]]:
    """Make a week of rates, of which one hour of Monday and a few others are not zero."""
    table = np.zeros((7, 24))
    table[:, draw(st.sampled_from([0, 2, 8, 22]))] = draw(st.sampled_from([2.0, 5.0]))
    if draw(st.booleans()):
        table[draw(st.sampled_from([1, 5, 6]))] = 0.1
    return table.tolist()


def arrivals() -> st.SearchStrategy[Arrivals]:
    """Make arrivals of every kind, about `MOST_INSTANCES` in two days at the most."""
    round_instants = st.sampled_from([0.0, 3600.0, 8 * 3600.0, 22 * 3600.0, 30 * 3600.0])
    return st.one_of(
        st.lists(round_instants, min_size=1, max_size=20).map(ArrivalTimes),
        st.builds(
            Poisson,
            st.sampled_from(["5/day", "0.4/h", "20/week"]),
            size=st.integers(1, 2),
            between=windows,
            days=weekdays,
            holidays=places,
        ),
        st.builds(
            WeeklyPoisson,
            weekly_rates(),
            volume=st.sampled_from([0.5, 1.0]),
            size=st.integers(1, 2),
            holidays=places,
        ),
        st.builds(UniformArrivals, st.integers(1, 15), between=windows),
        st.builds(
            Regular,
            st.sampled_from([2 * 3600.0, 4 * 3600.0]),
            offset=times,
            between=windows,
            days=weekdays,
            holidays=places,
        ),
    )


@st.composite
def servers(draw: st.DrawFn, sweeps: bool = False) -> WorkflowServer:
    """Make workflow servers, some of them slow, some with a limit on callbacks, or a sweep."""
    policy = FinishPolicy(
        early=draw(st.sampled_from(["reject", "buffer", "ignore", "start"])),
        buffer_for=draw(st.none() | positive_times),
        duplicate=draw(st.sampled_from(AFTERWARDS)),
        late=draw(st.sampled_from(AFTERWARDS)),
        unknown=draw(st.sampled_from(["reject", "ignore", "start"])),
    )
    work = st.sampled_from([0.0, 0.01, 1.0, 10.0])
    sweep = draw(st.none() | st.sampled_from([60.0, 700.0])) if sweeps else None
    return WorkflowServer(
        draw(st.integers(1, 3)),
        draw(work),
        draw(work),
        policy,
        draw(st.none() | limits),
        engine_delay=draw(st.just(Fixed(0.0)) | laws()),
        **draw(bottlenecks()),
        timeout_sweep=sweep,
    )


def bottlenecks() -> st.SearchStrategy[dict[str, object]]:
    """Make fields of a server with a store, slower under load, or (mostly) neither."""
    work, slows = st.sampled_from([0.0, 1.0, 10.0]), st.sampled_from([0.0, 0.0, 0.25, 1.0])
    store = st.builds(SharedStore, work, work, st.integers(1, 2), slows)
    some = st.fixed_dictionaries({"store": store, "slows_down": slows})
    return st.just({}) | st.just({}) | some


@st.composite
def scenarios(
    draw: st.DrawFn,
    prefixes: st.SearchStrategy[str] = st.just(""),  # noqa: B008
    deadlines: bool = False,
) -> Scenario:
    """Make small scenarios: some `MOST_INSTANCES` instances that arrive within a day or two.

    `prefixes` are put before the names of steps and systems. Every scenario waits at least once.
    With `deadlines` of every kind, noticed at once or by a sweep; outside work may be withdrawn.
    """
    names = [f"{draw(prefixes)}system {k}" for k in range(draw(st.integers(1, 2)))]
    writer = _Writer(names, prefixes, deadlines)
    steps = [*writer.elements(draw, depth=1), writer.async_step(draw, depth=1)]
    whole = st.none() | long_times if deadlines else st.none()
    return Scenario(
        name=writer.name(draw, "scenario"),
        process=Process(
            writer.name(draw, "process"),
            steps,
            first_activation=draw(st.sampled_from([1, 30])),
            timeout=draw(whole),
        ),
        systems={name: draw(systems()) for name in names},
        arrivals=draw(arrivals()),
        server=draw(servers(deadlines)),
        start=draw(st.sampled_from(STARTS)),
        length=draw(st.sampled_from([DAY, 2 * DAY])),
        zone=draw(st.sampled_from([None, "Europe/Berlin"])),
        description=draw(prefixes),
        costs=draw(st.none() | prices()),
    )


def prices() -> st.SearchStrategy[CostModel]:
    """Make prices of every kind."""
    some = st.sampled_from([0.0, 0.01, 2.5])
    return st.builds(
        CostModel,
        some, some, some, st.integers(0, 3), st.integers(0, 1), some,
        st.sampled_from(["overhead", "busy", "provided"]), some, times,
        st.sampled_from(["EUR", "USD"]),
    )  # fmt: skip


def pollings(**more: st.SearchStrategy[object]) -> st.SearchStrategy[Polling]:
    """Make polling with every anchor, jitter and limit."""
    return st.builds(
        Polling,
        long_times,
        st.sampled_from(["arming", "clock", "random"]),
        jitter=st.sampled_from([0.0, 60.0, 600.0]),
        limit=st.none() | st.integers(1, 20),
        **more,
    )


check_windows = st.none() | st.sampled_from([("00:00", "24:00"), ("22:00", "23:15")])


def listed_checks() -> st.SearchStrategy[Strategy]:
    """Make checks after pauses and at clock times."""
    limit = st.none() | st.integers(1, 20)
    times = st.lists(st.sampled_from(["00:10", "06:00", "22:30", "24:00"]), min_size=1)
    at = times | st.sampled_from(["*/20 * * * *", "5 22-23 * * 1-5"])
    pauses = st.lists(long_times, min_size=1, max_size=4)
    loop = st.sampled_from([0.0, 1.5])
    return st.one_of(
        st.builds(PollingAfter, pauses, loop=loop, limit=limit),
        st.builds(PollingAt, at, days=st.sampled_from(["every day", "Mon-Fri"]), limit=limit),
    )


def directed() -> st.SearchStrategy[ServerDirected]:
    """Make checks directed by an external system that knows more or less well when it is done."""
    return st.builds(
        ServerDirected,
        st.sampled_from([600.0, 1800.0]),
        at_least=st.sampled_from([60.0, 600.0]),
        at_most=st.sampled_from([1800.0, 100_000.0]),
        error=st.sampled_from([0.0, 0.3, 1.0]),
    )


def shared_polls() -> st.SearchStrategy[SharedPoll]:
    """Make checks for all waits of a system, some of which see a few waits only."""
    anchors = st.sampled_from(["clock", "random"])
    return st.builds(SharedPoll, long_times, most=st.none() | st.integers(1, 4), anchor=anchors)


def backoffs() -> st.SearchStrategy[Backoff]:
    """Make backoff with every kind of jitter."""
    return st.builds(
        Backoff,
        st.sampled_from([1.0, 60.0, 600.0]),
        st.sampled_from([1.5, 2.0, 3.0]),
        st.sampled_from([600.0, 3600.0]),
        st.sampled_from(["none", "full", "equal", "decorrelated"]),
        limit=st.none() | st.integers(1, 20),
    )


def _callbacks(
    kind: type[Callback], retries: int = 3, **more: st.SearchStrategy[object]
) -> st.SearchStrategy:
    return st.builds(
        kind,
        laws(),
        loss=shares | st.just(1.0),
        retries=st.lists(times, max_size=retries),
        retry_jitter=st.sampled_from(["none", "full"]),
        duplicates=shares,
        duplicate_delay=times,
        **more,
    )


def strategies() -> st.SearchStrategy[Strategy]:
    """Make every built-in waiting strategy with varied parameters."""
    anchors = st.sampled_from(["arming", "clock", "random"])
    return st.one_of(
        pollings(first=st.none() | long_times, window=check_windows),
        listed_checks(),
        backoffs(),
        directed(),
        shared_polls(),
        st.builds(LongPolling, st.sampled_from([300.0, 600.0, 3600.0])),
        _callbacks(Callback),
        _callbacks(CallbackWithSafetyPoll, every=long_times, anchor=anchors),
    )


@st.composite
def mixtures(draw: st.DrawFn) -> tuple[Scenario, Strategy]:
    """Make scenarios with a strategy for each step, or for each system and all others."""
    scenario = draw(scenarios())
    steps = [step.name for step in scenario.process.of_type(AsyncStep)]
    names = draw(st.lists(st.sampled_from([*steps, *scenario.systems]), unique=True))
    of = {name: draw(strategies()) for name in names}
    return scenario, Strategies(of, others=draw(strategies()))


@st.composite
def overloads(draw: st.DrawFn, least: int = 3) -> tuple[Scenario, Strategy]:
    """Make scenarios whose checks alone are more than the workers can do, until the night.

    The least number of instances that arrive.
    """
    instants = st.integers(0, 90).map(lambda k: 20.0 * k)
    poll_work = draw(st.sampled_from([5.0, 7.5, 10.0, 61.0]))
    interval = draw(st.sampled_from([10.0, 15.0, 60.0]))
    anchors = st.sampled_from(["arming", "clock", "random"])
    jitter = st.sampled_from([0.0, 0.0, interval / 2])
    limit = st.none() | st.integers(1, 200)
    batch = NightlyBatch(
        draw(st.sampled_from(["00:10", "00:30", "01:00"])),
        draw(laws()),
        lanes=draw(st.integers(1, 2)),
        max_items=draw(st.none() | st.integers(3, 6)),
        skip=draw(shares),
        results=draw(st.sampled_from(["per item", "at end"])),
    )
    wait = AsyncStep(
        "wait",
        "system",
        call_work=draw(laws()),
        arm=draw(st.sampled_from(["after call", "before call"])),
        timeout=draw(st.none() | long_times),
        on_timeout="continue",
    )
    scenario = Scenario(
        name="overload",
        process=Process("p", [Step("first", draw(laws())), wait, Step("last", draw(laws()))]),
        systems={"system": draw(st.just(batch) | systems())},
        arrivals=ArrivalTimes(sorted(draw(st.lists(instants, min_size=least, max_size=60)))),
        server=WorkflowServer(
            draw(st.integers(1, 3)),
            poll_work,
            draw(times),
            finish_limit=draw(st.none() | limits),
            **draw(bottlenecks()),
        ),
        length=DAY,
    )
    backoff = st.builds(
        Backoff,
        st.just(interval),
        st.sampled_from([1.0, 1.1]),
        st.sampled_from([interval, 4 * interval]),
        st.sampled_from(["none", "full", "equal", "decorrelated"]),
        limit=limit,
    )
    polling = st.builds(Polling, st.just(interval), anchors, jitter=jitter, limit=limit)
    safety = _callbacks(CallbackWithSafetyPoll, every=st.just(interval), anchor=anchors)
    strategy = draw(polling | backoff | safety | st.just(LongPolling(interval)))
    return scenario, strategy


def outages(of_server: bool, **more: st.SearchStrategy[object]) -> st.SearchStrategy[list[Outage]]:
    """Make outages by date, by the clock, by cron and at random."""
    when = st.sampled_from(["10s", "2h", "00:30", "23:50", "0 */3 * * *", "2026-03-29 02:30"])
    lengths = st.sampled_from([0.5, 60.0, 700.0, 7200.0]).map(Fixed) | st.just(Exponential(600.0))
    if of_server:
        parts = st.lists(st.sampled_from(PARTS), min_size=1, max_size=3)
        more = {"parts": parts, "work": st.sampled_from(["pauses", "is lost"])}
    by_clock = st.builds(Outage, when, lengths, **more)
    at_random = st.builds(
        Outage, length=lengths, every=st.sampled_from([900.0, 10_000.0]), **more,
        name=st.sampled_from(["", "network"]),
    )  # fmt: skip
    return st.lists(by_clock | at_random, max_size=2)


def _with_outages(draw: st.DrawFn, system: ExternalSystem) -> ExternalSystem:
    if isinstance(system, Chain):
        return Chain([_with_outages(draw, one) for one in system.systems])
    if isinstance(system, LoggedCompletions):
        return system
    works = ["pauses"] if isinstance(system, People) else ["pauses", "is lost"]
    return evolve(system, outages=draw(outages(False, work=st.sampled_from(works))))


@st.composite
def breakdowns(draw: st.DrawFn) -> tuple[Scenario, Strategy]:
    """Make scenarios with outages of all parts, and senders of every behaviour."""
    scenario = draw(scenarios(deadlines=draw(st.booleans())))
    server = evolve(scenario.server, outages=draw(outages(True)))
    systems = {name: _with_outages(draw, one) for name, one in scenario.systems.items()}
    within = st.none() | st.sampled_from([0.005, 1.0, 5.0, 60.0])
    sending = {
        "queue": st.sampled_from(["independent", "blocking"]),
        "answer_within": within,
        "retry_after": st.booleans(),
        "switched_off_after": st.none() | st.integers(1, 3),
        "switched_off_by_410": st.booleans(),
    }
    callback = _callbacks(Callback, retries=4, **sending)
    safety = _callbacks(CallbackWithSafetyPoll, retries=4, every=long_times, **sending)
    strategy = draw(callback | callback | safety | strategies())
    return scenario.replace(server=server, systems=systems), strategy


@st.composite
def herds(draw: st.DrawFn) -> tuple[Scenario, Strategy]:
    """Make instances that arrive together, and are called back into a limit, again and again."""
    scenario = draw(scenarios())
    instants = st.sampled_from([0.0, 1.0, 3600.0, 8 * 3600.0])
    anchors = st.sampled_from(["arming", "clock", "random"])
    strategy = draw(
        _callbacks(Callback, retries=8)
        | _callbacks(CallbackWithSafetyPoll, retries=8, every=long_times, anchor=anchors)
    )
    limited = evolve(scenario.server, finish_limit=draw(limits))
    together = ArrivalTimes(sorted(draw(st.lists(instants, min_size=4, max_size=20))))
    return scenario.replace(server=limited, arrivals=together), strategy
