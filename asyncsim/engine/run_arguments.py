"""What a run is given, checked where it enters."""

from __future__ import annotations

from asyncsim.engine.result import on_bins
from asyncsim.model.random_streams import Draws
from asyncsim.model.scenario import Scenario
from asyncsim.model.strategy_base import Strategy
from asyncsim.model.units import DurationLike, positive_duration
from asyncsim.model.validation import argument, scenario_error


def check_played(scenario: Scenario, strategy: Strategy, draws: Draws | None) -> None:
    """Check that what is to be played is a scenario, a strategy, and draws or nothing."""
    check_scenario(scenario)
    check_strategy("strategy", strategy)
    if not isinstance(draws, Draws | None):
        raise scenario_error("draws", "must be Draws, or left out", draws)


def check_strategy(name: str, value: object) -> None:
    """Check that a value is a strategy."""
    if not isinstance(value, Strategy):
        but = ", not a class" if isinstance(value, type) else ""
        raise scenario_error(name, f"must be a strategy such as Callback(){but}", value)


def check_scenario(scenario: Scenario) -> None:
    """Check that a scenario is one."""
    if not isinstance(scenario, Scenario):
        raise scenario_error("scenario", "must be a Scenario", scenario)


def seconds(name: str, value: DurationLike, after: float = 0.0) -> float:
    """Return a positive duration in seconds; as an instant it must be later than the present."""
    found = argument(name, value, positive_duration)
    if found <= after:
        raise scenario_error(name, f"must be later than the present ({after} s)", value)
    return found


def warm_up_of(name: str, value: DurationLike, scenario: Scenario, resolution: float) -> float:
    """Return a warm-up in seconds, over before arrivals are, and between two bins of the load."""
    found = seconds(name, value)
    if found >= scenario.length:
        raise scenario_error(
            name, f"must be shorter than the scenario ({scenario.length:g} s)", value
        )
    if not on_bins(found, resolution):
        raise scenario_error(
            name, f"must be a multiple of {resolution:g} s, the bins of the load", value
        )
    return found
