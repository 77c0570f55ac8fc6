"""Parts of a scenario and strategies in words: each value that is set has its words."""

import re

import attrs
import pytest
from hypothesis import given
from scenarios import strategies

import asyncsim as sim
from asyncsim.model.distributions import DISTRIBUTIONS
from asyncsim.model.examples import example_files
from asyncsim.model.specifications import ClockTimes, Kind, Pauses, StrategySpecification
from asyncsim.model.strategies import schedule_of
from asyncsim.model.systems import SYSTEMS
from asyncsim.model.units import text_of
from asyncsim.model.words import (
    elements_in_words,
    links_in_words,
    policy_in_words,
    server_in_words,
    strategy_in_words,
    time_in_words,
)
from asyncsim.studies.checklist import in_words

DISTRIBUTION_WORDS = {
    "fixed": (sim.fixed("2s"), "2 s"),
    "exponential": (sim.exponential("200ms"), "200 ms on average (exponential)"),
    "lognormal": (
        sim.lognormal("150ms", sd="100ms", low="50ms", high="1s"),
        "150 ms on average (lognormal, standard deviation 100 ms, raised to 50 ms at least, cut at "
        "1 s)",
    ),
    "uniform": (sim.uniform("1min", "3min"), "1 min to 3 min (uniform)"),
    "gamma": (
        sim.gamma("10min", sd="5min"), "10 min on average (gamma, standard deviation 5 min)"
    ),
    "empirical": (
        sim.empirical([3.0, 5.0, 10.0]),
        "6 s on average (of 3 observed times, standard deviation 2.944 s)",
    ),
}  # fmt: skip


@pytest.mark.parametrize(
    ("strategy", "words"),
    [
        (sim.Polling("15min"), "checks every 15 min, counted from the arming of the wait"),
        (
            sim.Polling("15min", "clock", limit=1),
            "checks every 15 min, counted from midnight, at the same times for all waits; "
            "gives up after 1 check",
        ),
        (
            sim.Polling("1h", "random", jitter="30s"),
            "checks every 1 h, each wait from a random moment on, late by up to 30 s",
        ),
        (
            sim.Polling("5min", first="7h", limit=9),
            "checks 7 h after the arming of the wait, then every 5 min; gives up after 9 checks",
        ),
        (
            sim.Polling("15min", "clock", first="1h", window=("22:00", "23:30")),
            "checks every 15 min, counted from midnight, at the same times for all waits, not "
            "before 1 h after the arming, between 22:00 and 23:30 only",
        ),
        (
            sim.PollingAfter(["8h", "10min", "1min"]),
            "checks after 8 h, then 10 min, then every 1 min, counted from the end of the check "
            "before",
        ),
        (
            sim.PollingAt(["23:00", "22:15"], days="Mon-Fri", holidays="DE"),
            "checks all waits at 22:15, 23:00, Mon-Fri, not on public holidays (DE)",
        ),
        (
            sim.Callback(loss=0.1, retries=["5s", "1min"], retry_jitter="full"),
            "the external system calls back with the serial number at completion; 10 % of the "
            "deliveries are lost, and sent again after 5 s, then 1 min, each drawn between 0 and "
            "that",
        ),
        (
            sim.Backoff("1s", cap="10s", jitter="full"),
            "checks after 1 s, then at intervals 2 times as long each time, 10 s at most, each "
            "drawn between 0 and that time, counted from the end of the check before",
        ),
        (
            sim.Backoff("1min", factor=1),
            "checks every 1 min, counted from the end of the check before",
        ),
        (
            sim.Backoff("1s", cap=None, jitter="decorrelated"),
            "checks at random intervals, each between 1 s and three times the one before, counted "
            "from the end of the check before",
        ),
        (
            sim.ServerDirected("20s", error=0.3),
            "checks after 20 s, then after the pause that the external system names: the time that "
            "is left by its plan, with an error of about 30 %, from 1 s to 1 h, or 20 s while it "
            "has none",
        ),
        (
            sim.SharedPoll("5min", most=100),
            "checks once for all waits of an external system, every 5 min, counted from midnight; "
            "sees 100 completed ones at most",
        ),
        (
            sim.LongPolling("30s"),
            "sends a request that the external system answers at completion, or after 30 s "
            "without it; then sends the next",
        ),
        (
            sim.Callback(),
            "the external system calls back with the serial number at completion",
        ),
        (
            sim.Callback("50ms", loss=0.1, retries=["5s", "5min"], duplicates=0.02),
            "the external system calls back with the serial number at completion, which takes "
            "50 ms; 10 % of the deliveries are lost, and sent again after 5 s, then 5 min; 2 % "
            "arrive twice, 1 s apart",
        ),
        (
            sim.CallbackWithSafetyPoll(loss=0.5, every="1h"),
            "the external system calls back with the serial number at completion; 50 % of the "
            "deliveries are lost, and not sent again; beside it the server checks every 1 h, "
            "counted from the arming of the wait",
        ),
    ],
)
def test_a_strategy_is_one_sentence(strategy, words):
    """What it does, and every value that is not the default."""
    assert strategy.in_words == words
    assert words in strategy._repr_html_()


@given(strategies())
def test_the_sentence_of_any_strategy_has_its_interval(strategy):
    """And the limit at which it gives up."""
    schedule = schedule_of(strategy)
    if schedule is not None:
        match schedule:
            case Pauses():
                first = text_of(schedule.interval(0))
            case ClockTimes():
                first = schedule.at[0]
            case _:
                interval = schedule.interval
                first = text_of(schedule.first if callable(interval) else interval)
        assert first in strategy.in_words
        assert ("gives up" in strategy.in_words) == (schedule.limit is not None)


def test_a_strategy_of_your_own_is_described_by_its_docstring_or_its_sides():
    """A subclass may behave otherwise than its base: it has not the words of the base."""

    class Documented(sim.Polling):
        """Checks at tea time.

        And at no other.
        """

    class Silent(sim.Strategy):
        def notify(self, step):
            yield step.after(1.0)

    assert Documented("1h").in_words == "Checks at tea time"
    assert Silent().in_words == "the external system acts at completion"
    assert sim.Strategy.in_words.fget(type("Idle", (sim.Strategy,), {})()) == (
        "never notices completion"
    )


SYSTEM_WORDS = {
    "nightly batch": (
        sim.NightlyBatch(
            "0 22 * * 1-5", sim.exponential("1s"), cut_off="21:00", lanes=4, max_items=1000,
            end="05:00", skip=0.01, failure=0.02, results="at end", days="Mon-Fri",
        ),
        "batch by cron (0 22 * * 1-5), Mon-Fri: each item takes 1 s on average (exponential), "
        "4 at a time; of items submitted by 21:00; 1,000 items a night at most; no new item from "
        "05:00 on; 1 % of the nights are skipped; 2 % of the nights break down; results at its end",
    ),
    "people": (
        sim.People(1, "12min", holidays="DE-BY"),
        "1 person: each task takes 12 min, 08:00 to 17:00, Mon-Fri, not on public holidays (DE-BY)",
    ),
    "online service": (
        sim.OnlineService(sim.exponential("2s"), lanes=None),
        "online service: each request takes 2 s on average (exponential), any number at a time",
    ),
    "chain": (
        sim.Chain([sim.OnlineService("2s"), sim.NightlyBatch("22:00", "150ms")]),
        "(online service: each request takes 2 s, 1 at a time); then (batch at 22:00, every day: "
        "each item takes 150 ms, 1 at a time)",
    ),
    "recorded": (
        sim.LoggedCompletions([3600.0, 60.0]), "completes 2 items at the instants of a log"
    ),
}  # fmt: skip


def words_of(part):
    """Return a distribution or a system in words."""
    return part.in_words if isinstance(part, sim.ExternalSystem) else time_in_words(part)


def test_every_kind_has_words():
    """None that a scenario file can hold is left out."""
    assert set(DISTRIBUTION_WORDS) == set(DISTRIBUTIONS)
    assert set(SYSTEM_WORDS) == set(SYSTEMS)


@pytest.mark.parametrize(
    ("part", "words"),
    [*DISTRIBUTION_WORDS.values(), *SYSTEM_WORDS.values()],
    ids=[*DISTRIBUTION_WORDS, *SYSTEM_WORDS],
)
def test_words_name_every_parameter(part, words):
    """In human units; what has its default is left out."""
    assert words_of(part) == words


def test_a_custom_class_is_named_and_not_taken_for_its_base():
    """It may behave in another way."""

    class Bank(sim.OnlineService):
        def run(self, context):
            yield context.wait_for_work()

    class Odd(type(sim.exponential("1s"))):
        """A custom distribution."""

    assert words_of(Bank("1s")) == "a system of your own (Bank)"
    assert words_of(Odd("1s")) == "1 s on average (Odd)"
    chain = sim.Chain([sim.OnlineService("2s"), Bank("1s")])
    assert words_of(chain).endswith("then (a system of your own (Bank))")


def test_a_server_is_in_words():
    """With its limit, and how it answers."""
    limits = {"100 per 60 s": "100 callbacks at most in 1 min"}
    limits["3000 refilled 500/s"] = "callbacks in bursts of 3,000 at most, then 500/s"
    for limit, words in limits.items():
        assert server_in_words(sim.WorkflowServer(finish_limit=limit)).endswith(words)
    answers = {"reject": "rejected", "ignore": "ignored", "buffer": "kept"}
    for early, word in answers.items():
        policy = attrs.evolve(sim.FinishPolicy(), early=early)
        assert policy_in_words(policy).startswith(f"early {word}, duplicate rejected")


@pytest.mark.parametrize(
    ("arrivals", "words"),
    [
        (
            sim.Poisson("10000/day", between=("08:00", "20:00"), size=5),
            "10,000 per day at random (Poisson), 5 at a time, 08:00 to 20:00, every day",
        ),
        (
            sim.UniformArrivals(2000, days="Mon-Fri"),
            "2,000 in all, spread at random, 00:00 to 24:00, Mon-Fri",
        ),
        (
            sim.Regular("30min", offset="9h"),
            "one every 30 min, the first after 9 h, 00:00 to 24:00, every day",
        ),
        (
            sim.WeeklyPoisson([10] * 24, holidays="DE"),
            "1,680 a week at random (Poisson), by weekday and hour, not on public holidays (DE)",
        ),
        (sim.ArrivalTimes([0.0, 60.0]), "2 at given instants"),
    ],
)
def test_arrivals_are_in_words(arrivals, words):
    """Each class has its own; one of your own has its name."""
    assert arrivals.in_words == words

    class Mondays(sim.Arrivals):
        def draw(self, rng, calendar, length):
            return rng.uniform(size=1)

    assert Mondays().in_words == "Mondays"


@attrs.frozen
class Lunar(Kind):
    """A kind that the words do not know."""

    phase: float = 0.0


def test_a_kind_that_has_no_words_is_named():
    """It is never described as another one."""
    assert strategy_in_words(StrategySpecification(Lunar())) == "checks in a way of its own (Lunar)"
    words = strategy_in_words(StrategySpecification(None, Lunar()))
    assert words == "the external system notifies in a way of its own (Lunar)"
    assert links_in_words([(Lunar(), None)]) == "a system of your own (Lunar)"


def test_a_process_names_its_ways():
    """Choices with their chances, branches, time-outs, refusals and what follows."""
    process = sim.Process("p", [
        sim.Choice("in stock?", [(0.8, [sim.Step("ship")]), (0.2, [])]),
        sim.Parallel("both", [[sim.Step("pack")], [sim.AsyncStep(
            "bill", "ledger", timeout="2h", on_timeout=[sim.Step("escalate")],
            response=sim.Response(accepted=0.9, done=0.04, rejected=0.06),
            on_accepted=[sim.Step("thank")],
        )]]),
    ])  # fmt: skip
    assert elements_in_words(process.steps) == (
        "in stock? [either 80 %: ship; or 20 %: nothing] → both [at the same time: pack; and bill "
        "(waits for ledger; meanwhile thank; 4 % of the calls are done at once: it continues; "
        "6 % of the calls are rejected: the instance fails; after 2 h: escalate)]"
    )


@pytest.mark.parametrize("path", example_files(), ids=lambda path: path.name)
def test_no_example_shows_code(path):
    """Neither classes nor fields."""
    if path.suffix != ".toml":
        return
    scenario = sim.Scenario.load(path)
    words = [
        *map(words_of, scenario.systems.values()),
        *in_words(scenario).values(),
    ]
    for one in words:
        assert not re.search(r"[A-Z]\w+\(|\w=|None|\d\.\d{5}", one), one
