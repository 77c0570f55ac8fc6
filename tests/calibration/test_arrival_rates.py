"""Rates of arrival are found again, pooled where the data cannot tell, with intervals that hold."""

from datetime import date

import numpy as np
import pytest
from scipy import stats

import asyncsim as sim
from asyncsim.calibration.arrival_rates import fit_arrivals
from asyncsim.model.calendar import Calendar

pytestmark = pytest.mark.slow

MONDAY = Calendar(date(2026, 1, 5))
DAY = 86400.0
DAYTIME = [0.0] * 8 + [10, 30, 50, 40, 20, 30, 45, 40, 30, 20, 10, 5] + [0.0] * 4


def fitted(arrivals, days=14, seed=1, calendar=MONDAY):
    instants = arrivals.draw(np.random.default_rng(seed), calendar, days * DAY)
    return fit_arrivals(instants, calendar, days * DAY)


@pytest.mark.parametrize(
    ("rates", "chosen"),
    [
        ([20.0] * 24, "one rate"),
        (DAYTIME, "by hour"),
        ([DAYTIME] * 5 + [[2.0] * 24] * 2, "by hour, weekend apart"),
        (np.outer([1, 2, 0.5, 1, 3, 0.2, 0.1], DAYTIME), "by hour and weekday"),
    ],
)
def test_the_pooling_is_the_one_the_rates_have(rates, chosen):
    """AIC chooses as many rates as there are, and no more."""
    assert fitted(sim.WeeklyPoisson(rates), days=28).chosen == chosen


def test_intervals_of_rates_cover_the_true_rates():
    """Over 40 logs, 95% intervals hold the true rate of an hour in about 95% of cases."""
    held = []
    for seed in range(40):
        table = fitted(sim.WeeklyPoisson(DAYTIME), days=7, seed=seed).table
        true = np.array(DAYTIME)[table["hour"].astype(int)]
        held += ((table["low"] <= true) & (true <= table["high"]))[true > 0].tolist()
    assert len(held) == 40 * 12
    assert 0.92 <= np.mean(held) <= 1.0  # Garwood's intervals hold at least as often as they say


def test_little_data_is_pooled():
    """Thirty arrivals in a week do not tell 168 rates, not even 24 of a flat day."""
    assert fitted(sim.Poisson("30/week"), days=7).chosen == "one rate"


def test_tests_of_dispersion_keep_their_level():
    """Of 60 Poisson logs about three are below 0.05, within hours and between days."""
    fits = [fitted(sim.WeeklyPoisson(DAYTIME), days=7, seed=seed) for seed in range(60)]
    for ps in ([f.bunching_p for f in fits], [f.between_days_p for f in fits]):
        assert sum(p < 0.05 for p in ps) <= 10  # binomial, beyond 4 sigma
        assert np.median(ps) > 0.2


def test_bunches_are_seen_and_widen_the_intervals():
    """Five at a time have dispersion 5; they do not look like changing rates."""
    five = fitted(sim.Poisson("20/h", size=5), days=14)
    assert five.bunching == pytest.approx(5, rel=0.15)
    assert five.bunching_p < 1e-6
    assert (five.chosen, five.law.size) == ("one rate", 5)
    assert five.law.per_week == pytest.approx(7 * 24 * 100, rel=0.1)
    one = fitted(sim.Poisson("100/h"), days=14)
    ratio = np.ptp(five.table[["low", "high"]].iloc[0]) / np.ptp(one.table[["low", "high"]].iloc[0])
    assert ratio == pytest.approx(np.sqrt(five.bunching), rel=0.1)


def test_arrivals_more_regular_than_chance_are_seen():
    """One every minute has no dispersion within hours."""
    fit = fitted(sim.Regular("1min"), days=2)
    assert fit.bunching < 0.1
    assert fit.bunching_p < 1e-6


def test_days_that_differ_are_seen():
    """A week at twice the rate makes dispersion between days, and its days stand out."""
    calm = sim.WeeklyPoisson(DAYTIME).draw(np.random.default_rng(1), MONDAY, 21 * DAY)
    busy = sim.WeeklyPoisson(DAYTIME).draw(np.random.default_rng(2), MONDAY, 7 * DAY)
    fit = fit_arrivals(np.sort(np.concatenate([calm, busy])), MONDAY, 21 * DAY)
    assert fit.between_days_p < 1e-6
    assert (fit.days["score"][:7] > 4).all()
    assert (fit.days["score"][7:] < 0).all()


def test_hours_of_the_night_the_clocks_change_are_counted_as_they_were():
    """60 an hour on the autumn night are 120 between two and three, seen for two hours: rate 60."""
    berlin = Calendar(date(2026, 10, 24), "Europe/Berlin")
    every_minute = np.arange(30.0, 49 * 3600.0, 60.0)
    fit = fit_arrivals(every_minute, berlin, 49 * 3600.0)
    assert fit.chosen == "one rate"
    assert fit.table["rate"].iloc[0] == pytest.approx(60)
    assert fit.table["hours"].iloc[0] == 49


def test_weekdays_never_seen_are_named():
    """A log of three days from Monday has no Thursday to Sunday; nothing is assumed there."""
    fit = fitted(sim.Poisson("20/h"), days=3)
    assert fit.unseen == ("Thursday", "Friday", "Saturday", "Sunday")
    assert not np.any(np.array(fit.law.rates)[3:])
    assert np.all(np.array(fit.law.rates)[:3] > 0)


def test_good_days_and_bad_days_widen_the_intervals_and_are_no_weekly_pattern():
    """Days at 10 or 30 an hour, by chance: the interval of the one rate holds 20 as promised."""
    rng, held, narrow, simple = np.random.default_rng(5), 0, 0, 0
    for _ in range(60):
        counts = rng.poisson(rng.choice([10.0, 30.0], 28)[:, None] * np.ones(24))
        hours = np.repeat(np.arange(counts.size), counts.ravel())
        fit = fit_arrivals(np.sort((hours + rng.random(len(hours))) * 3600.0), MONDAY, 28 * DAY)
        if fit.chosen == "one rate":
            row = fit.table.iloc[0]
            simple += 1
            held += row["low"] <= 20.0 <= row["high"]
            narrow += abs(row["rate"] - 20.0) <= 1.96 * np.sqrt(20.0 / (28 * 24))
    assert simple > 50
    assert narrow < stats.binom.ppf(0.001, simple, 0.95) <= held


def test_one_day_tells_nothing_of_differences_between_days():
    """However much its hours differ."""
    busy = np.sort(np.random.default_rng(1).uniform(9 * 3600.0, 11 * 3600.0, 200))
    fit = fit_arrivals(busy, MONDAY, DAY)
    assert np.isnan(fit.between_days)
