"""Compare both engines with closed forms, by tests of equivalence.

Each experiment is played a number of times on one of the engines, and the mean of each metric is
compared with its closed form θ, within a bound b: 2 % of θ, or 1e-9 where nothing is left to
chance. The verdict comes from two one-sided t-tests at 5 % (Schuirmann 1987, A comparison of the
two one-sided tests procedure and the power approach, Journal of Pharmacokinetics and
Biopharmaceutics 15, 657-680), which amounts to where the 90 % interval of the mean lies:

ok
    All of it lies within θ ± b. If the true mean were off by b or more, this would happen in one
    of twenty cases at most; off by 3 %, in next to none.
wrong
    Not ok, and θ lies outside the 95 % interval.
undecided
    Neither: too few replications.

To lie inside the interval proves nothing: a wide interval contains many values. Lengths are chosen
so that at 20 replications the 90 % interval reaches about a third of the bound to either side; a
right engine then gets another verdict than ok in fewer than one of a hundred runs of all rows.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from functools import partial

import pandas as pd
from attrs import frozen

from asyncsim.engine.metrics import METRICS, metric_in_words, metric_text
from asyncsim.experiment.output import table_html
from asyncsim.experiment.replications import jobs, mapping, progress_bar
from asyncsim.experiment.statistics import Uneven, check_replications, mean_interval
from asyncsim.model.html import findings_html, note_html
from asyncsim.model.validation import with_own_tables
from asyncsim.verification.experiments import Experiment, all_experiments

LEVEL = 0.05  # of each one-sided test, and of the test that calls a metric wrong
TIMES = {"queueing_time", "herd_queueing_time", "noticing_queueing_time", "drained"}
TIMES |= {"open_wait_seconds", "outside_time"}  # metrics of experiments alone, in seconds
OK, WRONG, UNDECIDED = "ok", "wrong", "undecided"
MEANING = (
    "ok: the whole 90 % interval of the simulated mean (low to high) lies within theory ± bound "
    "(two one-sided tests at 5 %; the bound is 2 % of theory, or rounding where nothing is left to "
    "chance); wrong: not ok, and theory lies outside the 95 % interval; undecided: neither, take "
    "more replications"
)


@with_own_tables
@frozen
class Verification:
    """The answer of `verify`."""

    table: pd.DataFrame
    """One row per metric: ``experiment, engine, metric``, ``theory, bound, simulated,
    low, high`` (ends of the 90 % interval), ``n`` (replications) and ``verdict``."""

    @property
    def passed(self) -> bool:
        """Whether every metric is equivalent to its theory."""
        return bool((self.table["verdict"] == OK).all())

    @property
    def text(self) -> str:
        """Number of metrics equivalent to theory by engine, the others, and what verdicts mean."""
        lines = [
            f"{engine}: {(rows['verdict'] == OK).sum()} of {len(rows)} metrics are equivalent to "
            "theory"
            for engine, rows in self.table.groupby("engine", sort=False)
        ]
        bad = self.table[self.table["verdict"] != OK]
        lines += [
            f"! {row.verdict}: {row.experiment} ({row.engine}), {metric_in_words(str(row.metric))}"
            for row in bad.itertuples()
        ]
        return "\n".join([*lines, MEANING])

    def _shown_table(self) -> pd.DataFrame:
        rows = []
        for row in self.table.to_dict("records"):
            name = str(row["metric"])
            unit = "s" if name in TIMES else METRICS[name].unit if name in METRICS else "1"
            text = partial(metric_text, name, unit="1" if unit == "money" else unit)
            found = Uneven.between(row["simulated"], row["low"], row["high"], row["n"])
            theory = f"{text(row['theory'])} ± {text(row['bound'])}"
            simulated = found.in_words(text)
            head = row["experiment"], row["engine"], metric_in_words(name)
            rows.append((*head, theory, simulated, row["n"], row["verdict"]))
        columns = ["experiment", "engine", "metric", "theory", "simulated", "replications"]
        return pd.DataFrame(rows, columns=[*columns, "verdict"])

    def __repr__(self) -> str:
        return f"{self.text}\n{self._shown_table().to_string(index=False)}"

    def _repr_html_(self) -> str:
        first, *rest = self.text.splitlines()
        found = findings_html([first, *rest[:-1]])
        return f"{found}{table_html(self._shown_table())}{note_html(MEANING)}"


def verify(
    replications: int = 20,
    *,
    quick: bool = False,
    seed: int = 1,
    n_jobs: int = 1,
    progress: bool = True,
    experiments: Iterable[Experiment] | None = None,
) -> Verification:
    """Compare both engines with closed forms.

    Experiments without chance have two replications, which show that there is none. `quick` leaves
    out those that take longest.

    >>> exact = [one for one in all_experiments() if one.exact and one.engine == "simpy"]
    >>> verify(experiments=exact, progress=False).passed
    True
    """
    replications = check_replications(replications)
    n_jobs = jobs(n_jobs)
    chosen = list(all_experiments(quick) if experiments is None else experiments)
    rows: list[dict[str, object]] = []
    with (
        progress_bar(progress, total=len(chosen), desc="verifying") as bar,
        mapping(n_jobs) as each,
    ):
        plays = each(partial(played, seed, replications), chosen)
        for experiment, found in zip(chosen, plays, strict=True):
            rows += (_judged(experiment, metric, found) for metric in experiment.theory)
            bar.update()
    return Verification(pd.DataFrame(rows))


def played(seed: int, replications: int, experiment: Experiment) -> list[dict[str, float]]:
    """Return the metrics of each replication of an experiment, two if nothing is left to chance."""
    number = 2 if experiment.exact else replications
    return [experiment.play(seed, k) for k in range(number)]


def _judged(
    experiment: Experiment, metric: str, found: list[dict[str, float]]
) -> dict[str, object]:
    values = [one[metric] for one in found]
    theory, bound = experiment.theory[metric], experiment.bound(metric)
    interval = mean_interval(values, 1 - 2 * LEVEL)
    return {
        "experiment": experiment.name,
        "engine": experiment.engine,
        "metric": metric,
        "theory": theory,
        "bound": bound,
        "simulated": interval.mean,
        "low": interval.low,
        "high": interval.high,
        "n": interval.n,
        "verdict": verdict(values, theory, bound),
    }


def verdict(found: list[float], theory: float, bound: float) -> str:
    """Return whether values are equivalent to a theory within `bound`; NaN contradicts it."""
    if any(math.isnan(value) for value in found):
        return WRONG
    inner, outer = (mean_interval(found, 1 - alpha) for alpha in (2 * LEVEL, LEVEL))
    if theory - bound <= inner.low and inner.high <= theory + bound:
        return OK
    return UNDECIDED if theory in outer else WRONG
