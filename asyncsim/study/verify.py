"""Theory held against simulation: the oracle of the whole house.

Every experiment plays a scenario a number of times and compares the mean over replications with a
closed form. It passes if they differ by no more than three half-widths of its own 95 % interval or
2 % of the theory, whichever is more; an interval wider than 10 % of the theory decides nothing and
does not pass either.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import pandas as pd
from attrs import frozen
from tqdm.auto import tqdm

from asyncsim.errors import ScenarioError
from asyncsim.study.experiments import Experiment, all_experiments
from asyncsim.study.statistics import mean_interval

SHARE = 0.02
WIDTHS = 3.0
WIDEST = 0.10


@frozen
class Verification:
    """What `verify` found.

    Attributes
    ----------
    table
        One row per figure: ``experiment, figure, theory, simulated, half_width, tolerance, n,
        verdict`` (ok, wrong, or undecided).
    """

    table: pd.DataFrame

    @property
    def passed(self) -> bool:
        """True if every figure agrees with its theory."""
        return bool((self.table["verdict"] == "ok").all())

    def __repr__(self) -> str:
        good = int((self.table["verdict"] == "ok").sum())
        table = self.table.to_string(index=False, float_format=lambda x: f"{x:.5g}")
        return f"{table}\n{good} of {len(self.table)} figures agree with theory"

    def _repr_html_(self) -> str:
        html: str = self.table.to_html(index=False, float_format=lambda x: f"{x:.5g}")
        return html


def verify(
    replications: int = 20,
    *,
    quick: bool = False,
    seed: int = 1,
    progress: bool = True,
    experiments: Iterable[Experiment] | None = None,
) -> Verification:
    """Compare simulation and closed forms.

    Parameters
    ----------
    replications
        Of each experiment.
    quick
        Play shorter runs: wider intervals, a fraction of the time.
    seed
        Key of the random numbers.
    progress
        Show a progress bar.
    experiments
        Which; by default all of `asyncsim.study.experiments`.
    """
    if replications < 2:
        raise ScenarioError(
            f"replications must be 2 or more, or nothing is known, got {replications}"
        )
    chosen = list(all_experiments(quick) if experiments is None else experiments)
    rows = []
    for experiment in tqdm(chosen, disable=not progress, desc="verifying", leave=False):
        found = [experiment.play(seed, k) for k in range(replications)]
        for figure, theory in experiment.theory.items():
            rows.append(_judge(experiment.name, figure, theory, [f[figure] for f in found]))
    return Verification(pd.DataFrame(rows))


def _judge(name: str, figure: str, theory: float, found: list[float]) -> dict[str, object]:
    interval = mean_interval(found)
    half_width = interval.half_width if math.isfinite(interval.half_width) else math.inf
    tolerance = max(WIDTHS * half_width, SHARE * abs(theory))
    if half_width > WIDEST * abs(theory) and half_width > 1e-12:
        verdict = "undecided"
    else:
        verdict = "ok" if abs(interval.mean - theory) <= tolerance else "wrong"
    return {
        "experiment": name,
        "figure": figure,
        "theory": theory,
        "simulated": interval.mean,
        "half_width": half_width,
        "tolerance": tolerance,
        "n": interval.n,
        "verdict": verdict,
    }
