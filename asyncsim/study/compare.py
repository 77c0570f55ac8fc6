"""Compare waiting strategies on the same random numbers."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from asyncsim.engine.arguments import check_scenario, warm_up_of
from asyncsim.engine.cutting import WHOLE_RUN
from asyncsim.engine.figures import check_figure, figures_of
from asyncsim.engine.simulate import RESOLUTION
from asyncsim.errors import PrecisionWarning, warn
from asyncsim.model.described import argument, refuse
from asyncsim.model.draws import key_part
from asyncsim.model.profiles import Profile
from asyncsim.model.quantities import DurationLike, count
from asyncsim.model.scenario import Scenario
from asyncsim.model.waiting import Strategy
from asyncsim.study.comparison import Comparison, Played
from asyncsim.study.output.precision import FEWEST, Precision, target
from asyncsim.study.replications import (
    Outcome,
    Replications,
    jobs,
    labelled,
    playing,
    warn_censored,
)
from asyncsim.study.statistics import check_confidence

FIGURE = "mean_latency"
"""What is to be known so well, where nobody says otherwise."""


def compare(
    scenario: Scenario,
    strategies: Sequence[Strategy],
    *,
    replications: int | None = None,
    precision: float | None = None,
    within: DurationLike | None = None,
    figure: str = FIGURE,
    most_replications: int = 200,
    warm_up: DurationLike | None = None,
    seed: int = 0,
    confidence: float = 0.95,
    engine: str = "auto",
    n_jobs: int = 1,
    profile: str | Profile | None = None,
    progress: bool = True,
) -> Comparison:
    """Play a scenario under several strategies on the same random numbers.

    Parameters
    ----------
    scenario
        What is played.
    strategies
        The strategies; the first is the one the others are compared with.
    replications
        How often; by default 10, or as many as `precision` needs (it is then the least number).
    precision
        Go on until the half-width of the interval of `figure` is at most this share of its mean
        under every strategy at once, and stays so for some replications more: the rule of
        `asyncsim.study.output.precision`, with at least 5 replications and at most
        `most_replications`.
    within
        In place of `precision`: the half-width itself, in the unit of the figure (``"5s"``), for
        means near zero, of which a share makes no sense.
    figure
        The figure that is to be known so well, a name of `asyncsim.engine.figures.FIGURES`.
    warm_up
        Leave out of every figure so much of each run (``"2 days"``), for a scenario of many days
        that begins empty and is meant to go on; `asyncsim.steady_state` finds how long it is.
        Instances that arrived in it count nowhere, load is that of the time after it, and what is
        known of whole runs only (`longest_queue`, `connection_time`) is NaN. Pictures of a single
        run show all of it.
    seed
        Key of the random numbers.
    confidence
        Of the intervals.
    engine, profile
        As in `asyncsim.simulate`.
    n_jobs
        On how many processes, -1 for one per processor; the result is the same on any number.
        Strategies and systems of your own must then be defined at the level of a module, and a
        script on Windows or macOS must stand behind ``if __name__ == "__main__":``.
    progress
        Show a progress bar.

    Warns
    -----
    CensoredWarning
        If waits were still open when runs stopped, with their number per strategy.
    PrecisionWarning
        If `precision` was not reached within `most_replications`.

    Examples
    --------
    >>> import asyncsim as sim
    >>> scenario = sim.Scenario.load("example:nightly_ledger")
    >>> found = sim.compare(scenario, [sim.Callback("50ms")], replications=2, progress=False)
    >>> found.strategies
    ['callback']
    """
    check_scenario(scenario)
    scenario = scenario.with_profile(profile)
    check_confidence(confidence)
    played = {label: Played(one) for label, one in labelled(strategies).items()}
    rules: dict[str, Precision] = {}
    check_figure(figure, scenario)
    wanted = argument("replications", 10 if replications is None else replications, count)
    most = argument("most_replications", most_replications, count)
    if precision is not None or within is not None:
        goal = target(precision, within, figures_of(scenario)[figure].unit)
        least = FEWEST if replications is None else max(FEWEST, wanted)
        rules = {
            label: Precision(goal, confidence, first=least, name=f"{figure} under {label}")
            for label in played
        }
        most = max(most, least)
        wanted = min(_still(rules), most)
    elif figure != FIGURE:
        raise refuse("figure", "goes with precision or within, which it is for", figure)
    n_jobs = jobs(n_jobs)
    strategies = tuple(player.strategy for player in played.values())
    begin = 0.0
    if warm_up is not None:
        begin = warm_up_of("warm_up", warm_up, scenario, RESOLUTION)
        if rules and figure in WHOLE_RUN:
            raise refuse("figure", "must be known without the warm-up as well", figure)
    plan = Replications(scenario, strategies, key_part("seed", seed), engine)
    keep = partial(Outcome.of, warm_up=begin)
    with playing(n_jobs, progress, "comparing", wanted * len(played)) as play:
        first = []
        for player, run in zip(played.values(), plan.runs(0), strict=True):
            player.first = run  # which is why this replication is played in this process
            first.append(keep(run))
            play.bar.update()
        _add(played, rules, first, figure)
        so_far = 1
        while so_far < wanted:
            for outcomes in play.kept(plan, keep, range(so_far, wanted)):
                _add(played, rules, outcomes, figure)
            so_far = wanted
            if rules:
                wanted = min(so_far + _still(rules), most)
                play.bar.total = wanted * len(played)
    found = Comparison(scenario, played, seed, confidence, begin)
    warn_censored(found.notes)
    _tell_missed(rules, figure, figures_of(scenario)[figure].unit)
    return found


def _add(
    played: dict[str, Played],
    rules: dict[str, Precision],
    outcomes: list[Outcome],
    figure: str,
) -> None:
    for (label, player), outcome in zip(played.items(), outcomes, strict=True):
        player.add(outcome)
        if rules:
            rules[label].add(outcome.figures[figure])


def _still(rules: dict[str, Precision]) -> int:
    """Return how many replications are surely needed before all strategies have enough at once."""
    return max(rule.still for rule in rules.values())


def _tell_missed(rules: dict[str, Precision], figure: str, unit: str) -> None:
    missed = {label: rule for label, rule in rules.items() if not rule.enough}
    if missed:
        rule = next(iter(missed.values()))
        told = "; ".join(one.shortfall(label) for label, one in missed.items())
        warn(
            f"the {rule.wanted.text(unit)} of {figure} was not reached in {len(rule.steps)} "
            f"replications ({told}); raise most_replications, or be content with the intervals as "
            "they are",
            PrecisionWarning,
        )
