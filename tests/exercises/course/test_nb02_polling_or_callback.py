"""Half the interval, the best interval, a poller in step with the batch, and retries."""

import numpy as np
import pytest

import asyncsim as sim
from asyncsim.exercises.course import nb02_polling_or_callback as book
from asyncsim.exercises.feedback import Mark
from asyncsim.experiment.statistics import mean_interval


def test_the_hint_about_answers_before_the_first_check_is_true():
    """Nearly nine in ten come within 20 minutes, after 7 minutes on average."""
    waits = np.random.default_rng(1).exponential(10, 100_000)
    before = waits[waits < 20]
    assert len(before) / len(waits) == pytest.approx(0.865, abs=0.01)
    assert before.mean() == pytest.approx(7, abs=0.2)
    assert "Nearly nine in ten" in book.HALF.hints[1]
    assert "after 7 minutes" in book.HALF.hints[1]


def test_half_the_interval_by_simulation():
    """The simulation agrees with the closed form, and not with T/2."""
    scenario = sim.Scenario(
        name="service",
        process=sim.Process("request", [sim.AsyncStep("ask", "service")]),
        systems={"service": sim.OnlineService(book.SERVICE, lanes=None)},
        arrivals=sim.Poisson("2000/day"),
    )
    runs = [sim.simulate(scenario, sim.Polling("20min"), seed=3, replication=k) for k in range(8)]
    interval = mean_interval([run.summary()["mean_latency"].iloc[0] for run in runs], 0.999)
    assert book.from_arming("20min").latency in interval
    assert 600 not in interval


def costs(interval):
    """By the closed form, in cents for each wait."""
    e = sim.Polling(interval).expected(book.SERVICE)
    return book.CHECK * e.checks + book.WAITING * e.latency


def test_the_minimum_is_as_flat_as_the_feedback_says():
    """In per cent of the costs of the rule of thumb."""
    more = {
        factor: costs(factor * book.rule()) / costs(book.rule()) - 1
        for factor in (0.5, 0.8, 1.2, 2)
    }
    assert [f"{100 * each:.0f}" for each in more.values()] == ["23", "2", "2", "27"]
    right = book.BEST.checker.right
    assert "A fifth more or less costs 2 % more, half the interval 23 %" in right
    assert "twice the interval 27 %" in right
    assert round(100 * (book.rule() / book.BEST.checker.expected() - 1)) == 2


@pytest.mark.parametrize("factor", [0.5, 0.9, 1.1, 2.0])
def test_no_interval_is_cheaper_than_the_best(factor):
    """Costs by the closed form, around what the checker expects; the rule of thumb passes."""
    best = book.BEST.checker.expected()
    assert costs(best) < costs(factor * best)
    assert book.BEST.judge(book.rule()).mark is Mark.RIGHT


@pytest.mark.parametrize(
    "poller",
    [
        sim.Polling("1h", "clock", jitter="1h"),
        sim.Polling("1h", "random"),
        sim.Polling("1h"),
    ],
    ids=lambda poller: poller.label,
)
def test_pollers_that_are_out_of_step(poller):
    """Jitter over the whole interval, a random phase, and counting from arming."""
    assert book.IN_STEP.judge(poller).mark is Mark.RIGHT


@pytest.mark.parametrize(
    ("poller", "why"),
    [
        (sim.Polling("1h", "clock"), "aliasing"),
        (sim.Polling("90min", "clock"), "aliasing"),
        (sim.Polling("1h", "clock", jitter="30min"), "jitter is too small"),
        (sim.Polling("15min", "random"), "prompt by more checks"),
        (sim.Polling("3h", "random"), "not check often enough"),
        (sim.Polling("1h", "random", limit=3), "gives up before the batch"),
        (sim.Callback(), "sends no callbacks"),
        (sim.CallbackWithSafetyPoll(every="1h"), "sends no callbacks"),
        (sim.LongPolling("1h"), "holds no connections"),
    ],
    ids=lambda value: getattr(value, "label", ""),
)
def test_pollers_that_are_not(poller, why):
    """Each fails for its own reason, which the feedback names."""
    verdict = book.IN_STEP.judge(poller)
    assert verdict.mark is Mark.NOT_YET
    assert any(why in each.text for each in verdict.findings if not each.good)


@pytest.mark.parametrize("start", book.STARTS)
def test_jitter_is_late_by_its_closed_form(start):
    """Completion at share f of the hour, checks uniform in each hour: (1 + f - f²)/2 hours."""
    scenario = book.ledger(start).replace(
        systems={"ledger": sim.NightlyBatch(start, item_time=0)},
    )
    poller = sim.Polling("1h", "clock", jitter="1h")
    runs = [sim.simulate(scenario, poller, seed=8, replication=k) for k in range(8)]
    interval = mean_interval([run.summary()["mean_latency"].iloc[0] for run in runs], 0.999)
    f = int(start[3:]) / 60
    assert 3600 * (1 + f - f * f) / 2 in interval


@pytest.mark.parametrize("retries", range(9))
def test_only_the_fewest_attempts_pass(retries):
    """Compared with the closed form of the strategy for the unresumed share."""
    strategy = sim.Callback("2s", loss=0.2, retries=["1min"] * retries)
    enough = strategy.expected(book.SERVICE).unresolved < book.MOST_OPEN
    fewer = sim.Callback("2s", loss=0.2, retries=["1min"] * max(retries - 1, 0))
    fewest = enough and fewer.expected(book.SERVICE).unresolved >= book.MOST_OPEN
    verdict = book.BAD_DAY.judge(strategy)
    assert (verdict.mark is Mark.RIGHT) == fewest
    if not enough:
        assert "more than 0.0001" in verdict.findings[1].text
    elif not fewest:
        assert "more than needed" in verdict.findings[2].text


def test_a_bad_day_has_its_loss():
    """2 % are not 20 %, and a safety poll is another remedy."""
    mild = book.BAD_DAY.judge(sim.Callback("2s", loss=0.02, retries=["1min"] * 5))
    assert mild.mark is Mark.NOT_YET
    assert "loss=0.2" in mild.findings[0].text
    other = book.BAD_DAY.judge(sim.CallbackWithSafetyPoll("2s", loss=0.2))
    assert other.mark is Mark.UNREADABLE
