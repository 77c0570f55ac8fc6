"""Theory held against simulation: the oracle of the whole house.

Every experiment plays a scenario a number of times and compares the mean over replications with a
closed form. It passes if they differ by no more than three half-widths of its own 95 % interval or
2 % of the theory, whichever is more; an interval wider than 10 % of the theory decides nothing and
does not pass either.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from functools import partial
from itertools import islice

import pandas as pd
from attrs import frozen

from asyncsim.model.handing_out import with_own_tables
from asyncsim.study.experiments import Experiment, all_experiments
from asyncsim.study.progress import progress_bar
from asyncsim.study.replications import jobs, mapping
from asyncsim.study.statistics import check_replications, mean_interval
from asyncsim.study.summary_html import table_html

SHARE = 0.02
WIDTHS = 3.0
WIDEST = 0.10


@with_own_tables
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
        return table_html(self.table)


def verify(
    replications: int = 20,
    *,
    quick: bool = False,
    seed: int = 1,
    n_jobs: int = 1,
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
    n_jobs
        On how many processes, -1 for one per processor.
    progress
        Show a progress bar.
    experiments
        Which; by default all of `asyncsim.study.experiments`. Experiments of your own are played
        in this process, whatever `n_jobs` says.
    """
    replications = check_replications(replications)
    n_jobs = jobs(n_jobs)
    chosen = list(all_experiments(quick) if experiments is None else experiments)
    rows = []
    with (
        progress_bar(progress, total=len(chosen), desc="verifying") as bar,
        mapping(n_jobs) as each,
    ):
        plays: Iterator[list[dict[str, float]]]
        if experiments is None:
            plays = each(partial(_play, quick, seed, replications), range(len(chosen)))
        else:
            plays = (_played(experiment, seed, replications) for experiment in chosen)
        for experiment, found in zip(chosen, plays, strict=True):
            for figure, theory in experiment.theory.items():
                rows.append(_judge(experiment.name, figure, theory, [f[figure] for f in found]))
            bar.update()
    return Verification(pd.DataFrame(rows))


def _play(quick: bool, seed: int, replications: int, number: int) -> list[dict[str, float]]:
    """Play an experiment known by its number: experiments cannot travel to another process."""
    experiment = next(islice(all_experiments(quick), number, None))
    return _played(experiment, seed, replications)


def _played(experiment: Experiment, seed: int, replications: int) -> list[dict[str, float]]:
    return [experiment.play(seed, k) for k in range(replications)]


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
