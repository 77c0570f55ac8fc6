"""Wrong words: every message names the nearest valid ones, ready to be copied."""

import inspect
from datetime import datetime

import attrs
import pytest

import asyncsim as sim
from asyncsim.capacity.target import Target
from asyncsim.cli.strategy_parser import parse_strategy
from asyncsim.model import scenario_files
from asyncsim.model.calendar import clock_or_cron, holiday_calendar, zone_name
from asyncsim.model.distributions import as_distribution
from asyncsim.model.server import rate_limit
from asyncsim.model.units import (
    calendar_date,
    clock_time,
    count,
    days_of_week,
    duration,
    number,
    optional_count,
    optional_duration,
    probability,
    rate,
    window,
)
from asyncsim.studies.parameters import points_of

LEDGER = sim.Scenario.load("example:nightly_ledger")
POLLING = sim.Polling("15min")


STEP = sim.AsyncStep("post", system="ledger")
TWO_WAITS = LEDGER.replace(process=sim.Process("two", [STEP, sim.AsyncStep("pay", "ledger")]))


def metric(name):
    sim.compare(LEDGER, [POLLING], precision=0.1, metric=name)


def target(words):
    Target.parse(words, LEDGER)


def grid(name):
    points_of(LEDGER, [POLLING], {name: [2, 3]}, None, 0)


def law(name):
    text = scenario_files.dumps(LEDGER).replace('"lognormal"', f'"{name}"')
    scenario_files.loads(text, sim.Scenario, "file")


def kind(name):
    text = scenario_files.dumps(LEDGER).replace('"nightly batch"', f'"{name}"')
    scenario_files.loads(text, sim.Scenario, "file")


def days(words):
    sim.People(3, "12min", days=words)


def step(words):
    sim.Step("validate", work=words)


HINTS = [
    (metric, "latency", "mean_latency"),
    (metric, "mean_latncy", "mean_latency"),
    (metric, "Mean latency", "mean_latency"),
    (metric, "p95", "p95_latency"),
    (metric, "overhead", "overhead_worker_time"),
    (metric, "checks", "checks_per_wait"),
    (metric, "utilization", "utilisation"),
    (target, "p95_latncy <= 60s", "p95_latency"),
    (target, "latency < 60s", "mean_latency"),
    (target, "60s >= p95_latency", "p95_latency <= 60s"),
    (target, "60s > p97.5_latency", "p97.5_latency <= 60s"),
    (target, "60s >= p95_latncy", "p95_latency <= 60s"),
    (target, "mean_latency = 1 minute", "mean_latency <= 1 minute"),
    (target, "p95_latency 60s", "p95_latency <= 60s"),
    (target, "p95_latency <= 1 minuts", "minute"),
    (grid, "server.worker", "workers"),
    (grid, "servers.workers", "server"),
    (grid, "workers", "server.workers"),
    (grid, "rate", "arrivals.rate"),
    (grid, "systems.leger.start", "ledger"),
    (grid, "ledger.start", "systems.ledger.start"),
    (grid, "process.steps.valdate.work", "validate"),
    (grid, "process.validate.work", "process.steps.validate.work"),
    (grid, "strategy.intervall", "interval"),
    (grid, "strategies.interval", "strategy.interval"),
    (grid, "interval", "strategy.interval"),
    (law, "expnential", "exponential"),
    (law, "exp", "exponential"),
    (law, "normal", "lognormal"),
    (law, "Gamma", "gamma"),
    (days, "Mo-Fr", "Mon-Fri"),
    (days, "Mon-Fry", "Mon-Fri"),
    (days, "Mon to Fri", "Mon-Fri"),
    (days, "Mon, Wed, Th", "Mon, Wed, Thu"),
    (days, "Mondy", "Monday"),
    (days, "weekdays", "Mon-Fri"),
    (days, "daily", "every day"),
    (days_of_week, "Mo-Su", "Mon-Sun"),
    (parse_strategy, "every 5 minutes", "polling 5min"),
    (parse_strategy, "every minute", "polling 1min"),
    (parse_strategy, "5min", "polling 5min"),
    (parse_strategy, "poll 5min", "polling 5min"),
    (parse_strategy, "Polling 5min", "polling 5min"),
    (parse_strategy, "check every 5 min", "polling 5min"),
    (parse_strategy, "polling every 5min", "polling 5min"),
    (parse_strategy, "Polling(interval=5min)", "polling interval=5min"),
    (parse_strategy, "poll every 5 minuts", "polling"),
    (parse_strategy, "polling anchor=clock 5min", "polling 5min anchor=clock"),
    (parse_strategy, "polling 15min anchor clock", "polling 15min anchor=clock"),
    (parse_strategy, "call back", "callback"),
    (parse_strategy, "Callback(duplicate_delay=1s)", "callback duplicate_delay=1s"),
    (parse_strategy, "web hook", "callback"),
    (parse_strategy, "callback delay 50ms", "callback delay=50ms"),
    (parse_strategy, "callback dely=50ms", "delay"),
    (parse_strategy, "callback loss 2%", "callback loss=0.02"),
    (parse_strategy, "callback with poll 5min", "callback with safety poll 5min"),
    (parse_strategy, "callback with safty poll", "callback with safety poll"),
    (parse_strategy, "callback_with_safety_poll", "callback with safety poll"),
    (parse_strategy, "longpolling 30s", "long polling 30s"),
    (parse_strategy, "long poll 30 seconds", "long polling 30s"),
    (parse_strategy, "exponential back-off 1s", "backoff 1s"),
    (duration, "5 minuts", "minute"),
    (duration, "5 hrs", "h"),
    (duration, "5 milliseconds", "ms"),
    (step, "5 minuts", "minute"),
    (rate, "300/hr", "300/h"),
    (rate, "300 per hour", "300/hour"),
    (rate, "10000/days", "10000/day"),
    (rate, "10,000/day", "10000/day"),
    (duration, "0,4s", "0.4s"),
    (duration, "1,5 h", "1.5 h"),
    (duration, "1,500ms", "1500ms"),
    (duration, "1:30", "1h 30min"),
    (step, "0,4s", "0.4s"),
    (clock_time, "9:30 pm", "21:30"),
    (clock_time, "12 a.m.", "00:00"),
    (clock_time, "21.30", "21:30"),
    (clock_time, "7", "07:00"),
    (clock_or_cron, "7:00 am", "07:00"),
    (holiday_calendar, "de-by", "DE-BY"),
    (kind, "batch", "nightly batch"),
    (zone_name, "Germany", "Europe/Berlin"),
    (zone_name, "new york", "America/New_York"),
    (zone_name, "Europe/Berln", "Europe/Berlin"),
]


@pytest.mark.parametrize(("read", "words", "hint"), HINTS)
def test_a_wrong_word_gets_the_nearest_one(read, words, hint):
    """The hint is the last thing in the message."""
    with pytest.raises(ValueError, match=r"must|no|strategy|grid|lacks") as problem:
        read(words)
    found = str(problem.value) + getattr(problem.value, "hint", "")
    assert found.splitlines()[-1].endswith(f"; did you mean {hint!r}?"), found


@pytest.mark.parametrize(
    ("read", "hint"),
    [case[::2] for case in HINTS if " " in case[2] or case[0] in (days_of_week, rate)],
)
def test_a_hint_of_several_words_is_itself_valid(read, hint):
    """It may be copied as it is."""
    read(hint)


@pytest.mark.parametrize(
    ("read", "words"),
    [
        (target, "p95_latency > 60s"),
        (target, "60s < p95_latency"),
        (target, "within_1min >= 95%"),
        (days, "Mo, Di"),
        (parse_strategy, "sometimes"),
        (parse_strategy, "polling -5min"),
        (grid, "latency"),
        (duration, "1 month"),
    ],
)
def test_words_that_mean_something_else_get_no_hint(read, words):
    """A hint is a word of the same meaning, or none: "more than 60 s" has no target."""
    with pytest.raises(ValueError, match=r"must|no field") as problem:
        read(words)
    assert "did you mean" not in str(problem.value) + getattr(problem.value, "hint", "")


@pytest.mark.parametrize(
    ("read", "words", "ending"),
    [
        (duration, "1 month", "; the units are ms, s, min, h, d and w"),
        (rate, "600/Tag", "; the units are ms, s, min, h, d and w"),
        (duration, "50", "; did you mean '50ms', '50s' or '50min'?"),
        (rate, "600", "; did you mean '600/day', '600/h' or '600/s'?"),
        (window, ["7", "18"], "; did you mean ['07:00', '18:00']?"),
        (window, "7:30 am - 6 pm", "; did you mean ['07:30', '18:00']?"),
        (window, [8, 18], "; did you mean ['08:00', '18:00']?"),
        (count, "4", "; write 4 without quotes"),
        (probability, "0,3", "; did you mean 0.3?"),
        (number, " 1.5 ", "; write 1.5 without quotes"),
        (optional_duration, "None", "; leave it out instead"),
        (optional_count, "unlimited", "; leave it out instead"),
        (optional_duration, "5 minuts", "; did you mean 'minute'?"),
        (step, "exponential(10min)", '; in a file write { law = "exponential", mean = "10min" }'),
        (step, "gamma", '; in a file write { law = "gamma" }'),
        (
            as_distribution,
            "lognormal(mean='1s', sd='2s')",
            '; in a file write { law = "lognormal", mean = "1s", sd = "2s" }',
        ),
        (calendar_date, datetime(2026, 1, 5), "; did you mean '2026-01-05'?"),
        (calendar_date, "5.1.2026", "; did you mean '2026-01-05'?"),
        (calendar_date, "1/5/2026", "; did you mean '2026-05-01' or '2026-01-05'?"),
        (calendar_date, "31/12/2026", "; did you mean '2026-12-31'?"),
        (days_of_week, ["Mon", "Tue"], "; did you mean 'Mon, Tue'?"),
        (rate_limit, "100/min", "; did you mean '100 per 1min'?"),
        (rate_limit, "100 per minute", "; did you mean '100 per 1minute'?"),
        (probability, 30, "; write 0.3 for 30 %"),
        (probability, "0,5 %", "; write 0.005"),
        (parse_strategy, "polling 5", "got '5'; did you mean '5ms', '5s' or '5min'?"),
        (parse_strategy, "callback 50", "got '50'; did you mean '50ms', '50s' or '50min'?"),
        (
            parse_strategy,
            "polling 15min, callback",
            "; give each strategy alone: --strategy 'polling 15min' --strategy 'callback'",
        ),
    ],
)
def test_where_several_words_may_be_meant_they_are_listed(read, words, ending):
    """The units that exist, or the value with each of the likely ones."""
    with pytest.raises(ValueError, match="must") as problem:
        read(words)
    found = str(problem.value) + getattr(problem.value, "hint", "")
    assert found.endswith(ending), found


@pytest.mark.parametrize(
    "words", ["", "soon", "25:00", "25", "-5", "1,2,3s", "5..3", "1:99", "0 22 * *", "%", "/", "5/"]
)
@pytest.mark.parametrize("read", [duration, rate, clock_time, zone_name, probability, window])
def test_words_that_mean_nothing_are_refused(read, words):
    """To look for a hint ends, and finds none that is wrong itself."""
    with pytest.raises(ValueError, match="must"):
        read(words)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: sim.Polling(every="5min"),
            "Polling has no argument 'every' (it has interval, anchor, jitter=…, limit=…, ",
        ),
        (lambda: sim.Polling("5min", ancor="clock"), "; did you mean 'anchor'?"),
        (lambda: sim.People(size=3, item_time=1), "People has no argument 'size' (it has team, "),
        (lambda: sim.Scenario(arrival=1), "; did you mean 'arrivals'?"),
        (lambda: sim.Polling(), "Polling lacks the argument 'interval' (it has interval, anchor"),
        (
            lambda: sim.Process([STEP]),
            "Process lacks the argument 'steps' (it has name, steps, first_activation=…)",
        ),
        (lambda: sim.Step("a", "1s", "2s"), "Step was given too many positional arguments (it has"),
        (
            lambda: sim.Poisson("300/h", "08:00", "20:00"),
            "too many positional arguments (it has rate, between=…, days=…, holidays=…, size=…)",
        ),
        (lambda: sim.exponential(mena="5min"), "; did you mean 'mean'?"),
    ],
)
def test_an_argument_that_does_not_fit_is_named_with_those_there_are(make, message):
    """It is an error of input, and still Python's TypeError."""
    with pytest.raises(TypeError) as problem:
        make()
    assert isinstance(problem.value, sim.ScenarioError)
    assert message in str(problem.value)


def test_a_class_shows_its_own_arguments_to_an_editor():
    """The signature is that of its fields, and errors inside are not taken for wrong arguments."""
    assert list(inspect.signature(sim.Polling).parameters) == [
        *("interval", "anchor", "jitter", "limit", "first", "window")
    ]

    class Broken(sim.Step):
        def __attrs_post_init__(self):
            raise TypeError("inside")

    with pytest.raises(TypeError, match=r"^inside$"):
        attrs.frozen(Broken)("a")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: LEDGER.replace(workers=3),
            "'workers' names no field: Scenario has 'name', 'process', 'systems', 'arrivals', "
            "'server', 'start', 'length', 'zone', 'description', 'costs', got 'workers'; "
            "did you mean 'server.workers'?",
        ),
        (
            lambda: sim.compare(LEDGER, ["callback"]),
            "strategies must hold strategies only, such as Callback() or Polling('15min'), "
            "got 'callback'",
        ),
        (lambda: sim.compare(LEDGER, {"post": POLLING}), "each of them for all waits, got {'post'"),
        (
            lambda: TWO_WAITS.with_log("example:request_log"),
            "step must be named, since several steps wait: one of 'post', 'pay'",
        ),
        (lambda: target("cost <= 100"), "prices: a [costs] table in the file, or CostModel(…)"),
        (
            lambda: sim.compare(LEDGER, [POLLING], precision="5%"),
            "precision must be a finite number, got '5%'; write 0.05",
        ),
        (
            lambda: sim.Parallel("both", [STEP, STEP]),
            "Parallel.branches must be a list of two or more lists of steps, got [AsyncStep(",
        ),
        (
            lambda: sim.Choice("way", [(0.35, []), (0.7, [])]),
            "Choice 'way' must have probabilities that add up to 1: 0.35 + 0.7 = 1.05",
        ),
    ],
)
def test_a_mistake_in_python_is_shown_with_what_would_be_right(make, message):
    """Words for objects, parts for the whole, sums with their terms."""
    with pytest.raises(sim.ScenarioError) as problem:
        make()
    assert message in str(problem.value)


@pytest.mark.parametrize("words", ["p95_latency ≤ 60s", "p95_latency =< 60s", "p95_latency < 60s"])
def test_a_target_may_be_written_with_other_signs(words):
    """They mean at most."""
    assert Target.parse(words, LEDGER) == Target.parse("p95_latency <= 60s", LEDGER)


@pytest.mark.parametrize("bound", ["80%", "80 %", "0.8"])
def test_the_bound_of_a_share_may_be_in_per_cent(bound):
    """It is the same target."""
    assert Target.parse(f"utilisation <= {bound}", LEDGER).bound == 0.8


@pytest.mark.parametrize(("bound", "hint"), [("80", "; write 0.8 for 80 %"), ("120%", "")])
def test_the_bound_of_a_share_is_at_most_one(bound, hint):
    """80 would mean 8,000 %, which every run keeps."""
    with pytest.raises(sim.ScenarioError, match=r"must be a share such as 0\.8 or 80%") as problem:
        target(f"utilisation <= {bound}")
    assert str(problem.value).endswith(f"got '{bound}'{hint}")
