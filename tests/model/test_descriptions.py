"""Parts of a scenario in words, for readers who have never seen a scenario file."""

import re

import pytest

import asyncsim as sim
from asyncsim.model import descriptions
from asyncsim.model.distributions import DISTRIBUTIONS
from asyncsim.model.examples import example_files
from asyncsim.model.systems import SYSTEMS

DISTRIBUTION_WORDS = {
    "fixed": (sim.fixed("2s"), "always 2 s"),
    "exponential": (sim.exponential("200ms"), "exponential, mean 200 ms"),
    "lognormal": (
        sim.lognormal("150ms", sd="100ms", low="50ms", high="1s"),
        "lognormal, mean 150 ms, standard deviation 100 ms, "
        "clipped: at least 50 ms and at most 1 s",
    ),
    "uniform": (sim.uniform("1min", "3min"), "uniform from 1 min to 3 min"),
    "gamma": (sim.gamma("10min", sd="5min"), "gamma, mean 10 min, standard deviation 5 min"),
    "empirical": (
        sim.empirical([3.0, 5.0, 10.0]),
        "drawn from 3 observed times, mean 6 s, standard deviation 2.944 s",
    ),
}
SYSTEM_WORDS = {
    "nightly batch": (
        sim.NightlyBatch("22:00", "1s", cut_off="21:00", lanes=2, max_items=5, end="05:00",
                         skip=0.1, failure=0.2, results="at end", days="Mon-Fri"),
        "batch at 22:00, Mon-Fri; items submitted by 21:00; 2 items at a time; each item takes "
        "always 1 s; at most 5 items a night; no new item from 05:00; 10 % of the nights do not "
        "run; 20 % of the nights break down; results at the end of the batch",
    ),
    "online service": (
        sim.OnlineService(sim.exponential("2s"), lanes=None),
        "online service, any number of requests at a time; each takes exponential, mean 2 s",
    ),
    "people": (
        sim.People(3, "12min", holidays="DE-BY"),
        "team of 3, working hours 08:00 to 17:00, Mon-Fri, not on public holidays (DE-BY); each "
        "takes always 12 min",
    ),
    "chain": (
        sim.Chain([sim.OnlineService("2s"), sim.NightlyBatch("0 22 * * 1-5", "1s")]),
        "(online service, 1 request at a time; each takes always 2 s); then (batch by the cron "
        "expression '0 22 * * 1-5' every day; each item takes always 1 s)",
    ),
    "recorded": (
        sim.LoggedCompletions([3600.0, 60.0]),
        "completions at given times, as in a log (2)",
    ),
}  # fmt: skip


def words_of(part):
    """Return a distribution or a system in words."""
    if isinstance(part, sim.ExternalSystem):
        return descriptions.system_in_words(part)
    return descriptions.distribution_in_words(part)


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

    class Mine(sim.OnlineService):
        """A custom system."""

    class Odd(type(sim.exponential("1s"))):
        """A custom distribution."""

    assert words_of(Mine("1s")) == "custom system Mine"
    assert words_of(Odd("1s")) == "custom distribution Odd"
    chain = sim.Chain([sim.OnlineService("2s"), Mine("1s")])
    assert words_of(chain).endswith("then (custom system Mine)")


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
    assert descriptions.process_in_words(process) == (
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
        descriptions.process_in_words(scenario.process),
        *descriptions.work_in_words(scenario.process),
        descriptions.period_in_words(scenario),
    ]
    for one in words:
        assert not re.search(r"[A-Z]\w+\(|\w=|None|\d\.\d{5}", one), one
