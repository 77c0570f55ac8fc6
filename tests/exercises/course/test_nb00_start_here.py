"""Number of checks of one wait."""

from asyncsim.exercises.course import nb00_start_here as book
from asyncsim.experiment.simulate import simulate
from asyncsim.model.arrivals import Regular
from asyncsim.model.process import AsyncStep, Process
from asyncsim.model.scenario import Scenario
from asyncsim.model.systems import NightlyBatch


def test_how_often_by_simulation():
    """An order at noon, booked at 22:00:10: the simulation makes as many checks."""
    scenario = Scenario(
        name="one order",
        process=Process("order", [AsyncStep("post", "ledger")]),
        systems={"ledger": NightlyBatch("22:00:10", item_time=0)},
        arrivals=Regular("1d", offset="12h"),
    )
    wait = simulate(scenario, book.HALF_HOUR).waits.iloc[0]
    assert wait["completed"] - wait["armed"] == book.WAIT.mean
    assert wait["checks"] == book.HOW_OFTEN.checker.expected() == 1 + 10 * 2
