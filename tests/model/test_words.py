"""Strategies, systems, servers and arrivals in words: each value that is set has its words."""

import attrs
import pytest
from hypothesis import given
from scenarios import strategies

import asyncsim as sim
from asyncsim.model.specifications import ClockTimes, Kind, Pauses, StrategySpecification
from asyncsim.model.strategies import schedule_of
from asyncsim.model.systems import links_of
from asyncsim.model.units import text_of
from asyncsim.model.words import link_in_words, policy_in_words, server_in_words, strategy_in_words


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


@pytest.mark.parametrize(
    ("system", "words"),
    [
        (
            sim.NightlyBatch("22:00", "150ms"),
            ["batch at 22:00, every day: 150 ms an item, 1 at a time"],
        ),
        (
            sim.NightlyBatch(
                "0 22 * * 1-5", sim.exponential("1s"), cut_off="21:00", lanes=4, max_items=1000,
                end="05:00", skip=0.01, failure=0.02, results="at end",
            ),
            [
                "batch by cron (0 22 * * 1-5), every day: 1 s on average (exponential) an item, "
                "4 at a time; of items submitted by 21:00; 1,000 items a night at most; no new "
                "item from 05:00 on; 1 % of the nights are skipped; 2 % of the nights break down; "
                "results at its end"
            ],
        ),
        (
            sim.People(1, "12min", holidays="DE-BY"),
            [
                "1 person: 12 min a task, 08:00 to 17:00, Mon-Fri, not on public holidays (DE-BY)"
            ],
        ),
        (
            sim.Chain([sim.OnlineService("2s", lanes=None), sim.LoggedCompletions([1.0, 2.0])]),
            [
                "online service: 2 s a request, any number at a time",
                "completes 2 items at the instants of a log",
            ],
        ),
        (
            sim.OnlineService(sim.empirical([1.0, 3.0])),
            ["online service: 2 s on average (2 observed) a request, 1 at a time"],
        ),
    ],
)  # fmt: skip
def test_each_link_of_a_system_is_in_words(system, words):
    """Every value that is not the default."""
    assert [link_in_words(one) for one in links_of(system)] == words


def test_a_system_without_a_specification_is_named():
    """No kind is ever taken for another."""

    class Bank(sim.OnlineService):
        def run(self, context):
            yield context.wait_for_work()

    bank = Bank("1s")
    assert [link_in_words(*pair) for pair in zip(links_of(bank), bank.links, strict=True)] == [
        "a system of your own (Bank)"
    ]


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
    assert link_in_words(Lunar()) == "a system of your own (Lunar)"
