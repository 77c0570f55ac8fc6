"""Early and late callbacks and remedies, compared with integrals and simulations."""

import pytest
from scipy.integrate import quad

import asyncsim as sim
from asyncsim.exercises.course import nb04_when_callbacks_go_wrong as book
from asyncsim.experiment.statistics import mean_interval
from asyncsim.model.profiles import PROFILES


def test_how_early_by_integration():
    """P(C < A): integrate the survival of the arming time over the density of the callback's."""
    arming = sim.exponential(book.ARMING)
    rate = 1 / book.ANSWER.mean
    share, _ = quad(
        lambda t: float(arming.survival(t)) * rate * float(book.ANSWER.survival(t)), 0, 5
    )
    assert book.HOW_EARLY.checker.expected() == pytest.approx(share, rel=1e-6)
    assert book.HOW_EARLY.checker.expected() < book.early_share(book.ARMING)


@pytest.mark.filterwarnings("ignore::asyncsim.CensoredWarning")
def test_keep_it_by_simulation():
    """Simulated days, with early callbacks buffered for 50 ms, agree with the closed form."""
    kept = PROFILES["camunda 8"].with_buffer("50ms")
    few = book.QUICK.replace(arrivals=sim.Poisson("4000/day"))
    runs = [
        sim.simulate(few, sim.Callback(), seed=6, replication=k, profile=kept) for k in range(8)
    ]
    hang = [run.summary()["still_waiting"].iloc[0] / len(run.waits) for run in runs]
    assert book.early_share(book.ARMING - book.KEPT) in mean_interval(hang, 0.999)


def test_a_late_callback_is_not_harmless():
    """The callback of the clerk is rejected, and the invoice was approved twice."""
    letter, measured = book.late_callback()
    assert letter == "b"
    assert "late" in measured
    assert "paid once" in measured


def test_order_of_the_remedies():
    """By hand: a safety poll p R/2 + (1-p) d up to d²/2R, polls T/2."""
    found = book.mean_latencies()
    assert found["polling 1min"] == 30
    assert found["polling 2min"] == 60
    assert found["safety poll"] == pytest.approx(0.95 * 2 + 0.05 * 900, abs=0.01)
    assert found["retries"] < 5
