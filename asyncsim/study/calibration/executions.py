"""From events to executed steps: which start belongs to which end."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from asyncsim.errors import ScenarioError
from asyncsim.model.described import refuse
from asyncsim.model.quantities import nearest
from asyncsim.study.calibration.problems import KEPT, SORTED, Problems

TRANSITIONS = {
    "schedule": "queued",
    "assign": "queued",
    "start": "started",
    "suspend": "armed",
    "resume": "resumed",
    "complete": "ended",
    "ate_abort": "ended",
    "pi_abort": "ended",
    "withdraw": "ended",
}
"""What the transitions of XES are called here; asyncsim writes a wait as suspend and resume."""
ABORTED = ("ate_abort", "pi_abort", "withdraw")
"""Ends that are no completions: a wait that timed out or was given up, a step that failed."""
ORDER = ("queued", "started", "armed", "resumed", "ended")


def executions_of(
    events: pd.DataFrame, system: str | Mapping[str, str] | None, problems: Problems
) -> pd.DataFrame:
    """Return one row per executed step.

    Parameters
    ----------
    events
        ``case, step, transition, at`` (seconds), ``resource, serial_number, place``.
    system
        Which steps wait outside, and for which system; see `asyncsim.fit`.
    problems
        Where damage is noted.
    """
    known = events["transition"].isin(list(TRANSITIONS))
    if not known.any():
        words = ", ".join(TRANSITIONS)
        raise ScenarioError(
            f"the log has no event of a known lifecycle transition ({words}), but "
            f"{events['transition'].iloc[0]!r}"
        )
    problems.add("unknown lifecycle transition", events["place"][~known])
    aborted = events["transition"].isin(ABORTED)
    problems.add(
        "ended without completing (timed out, rejected, failed)", events["place"][aborted], KEPT
    )
    events = events[known].assign(what=events["transition"].map(TRANSITIONS), aborted=aborted)
    doubled = events.duplicated(["case", "step", "what", "at"])
    problems.add("doubled event", events["place"][doubled])
    events = events[~doubled]
    latest = events.groupby("case", sort=False)["at"].cummax()
    late = events["at"] < latest
    problems.add("out of order in its case", events["place"][late], SORTED)
    events = events.assign(rank=events["what"].map(ORDER.index))
    events = events.sort_values(["case", "step", "at", "rank", "place"], ignore_index=True)
    events["execution"] = _numbered(events)
    keys = ["case", "step", "execution"]
    times = events.pivot_table(index=keys, columns="what", values="at", aggfunc="min")
    groups = events.groupby(keys, sort=True)
    steps = times.reindex(columns=[*ORDER, "completed"])
    steps["place"] = groups["place"].min()
    steps["serial_number"] = groups["serial_number"].max()
    steps["aborted"] = groups["aborted"].any()
    resources = events[events["what"] == "armed"].groupby(keys)["resource"].first()
    steps["resource"] = resources.reindex(steps.index).fillna("")
    steps = steps.reset_index()
    has = frozenset(name for name in ORDER if steps[name].notna().any())
    steps = _with_systems(steps, system, has)
    return _checked(steps, has, problems)


def _numbered(events: pd.DataFrame) -> pd.Series[int]:
    """Return the number of the execution of its step that each event belongs to.

    A step whose events each come once was executed once, whatever their order; else a new execution
    begins after an end, and at a schedule or start that cannot follow what was there before.
    """
    pair = [events["case"], events["step"]]
    repeated = (
        events.duplicated(["case", "step", "what"], keep=False).groupby(pair).transform("any")
    )
    before = events.groupby(["case", "step"])["rank"].shift()
    opening = events["rank"] <= ORDER.index("started")
    new = (before == ORDER.index("ended")) | (opening & (before >= events["rank"]))
    return (new & repeated).astype(int).groupby(pair).cumsum()


def _with_systems(
    steps: pd.DataFrame, system: str | Mapping[str, str] | None, has: frozenset[str]
) -> pd.DataFrame:
    """Say which steps wait, and for which system."""
    names = list(dict.fromkeys(steps["step"]))
    waiting = list(dict.fromkeys(steps["step"][steps["armed"].notna()]))
    resource = steps[steps["resource"] != ""].groupby("step")["resource"].agg(_commonest)
    chosen = {step: str(resource.get(step, f"system of {step}")) for step in waiting}
    if isinstance(system, str):
        if len(waiting) != 1:
            raise refuse(
                "system",
                f"must say which step waits for it ({len(waiting)} of them suspend in this log), "
                f"such as {{{names[0]!r}: {system!r}}}",
                system,
            )
        chosen = {waiting[0]: system}
    elif system is not None:
        if not isinstance(system, Mapping):
            raise refuse("system", "must be a name, or map steps to names of systems", system)
        for step, name in system.items():
            if step not in names:
                raise ScenarioError(f"system: the log has no step {step!r}{nearest(step, names)}")
            chosen[step] = str(name)
    steps = steps.assign(system=steps["step"].map(chosen))
    plain = steps["step"].isin([step for step in chosen if step not in waiting])
    # Without suspend and resume the wait is all of the step
    begun = steps["started"].fillna(steps["queued"])
    if not has & {"started", "queued"}:  # then it begins when the step before it ends
        begun = steps.sort_values(["case", "ended", "place"]).groupby("case")["ended"].shift()
    steps["armed"] = steps["armed"].mask(plain, begun)
    steps["resumed"] = steps["resumed"].mask(plain, steps["ended"])
    if "resumed" not in has:  # a wait that is over is told by the end of its step only
        over = steps["armed"].notna() & ~steps["aborted"]
        steps["resumed"] = steps["resumed"].mask(over, steps["ended"])
    return steps.drop(columns="resource")


def _commonest(values: pd.Series[str]) -> str:
    return str(values.mode().iloc[0])


def _checked(steps: pd.DataFrame, has: frozenset[str], problems: Problems) -> pd.DataFrame:
    """Note missing starts and ends and ends before starts, and forget the times they spoil."""
    usual = steps.groupby("step")["started"].transform("count")
    usual = usual >= 0.5 * steps.groupby("step")["step"].transform("size")
    backwards = steps["ended"] < steps["started"]
    problems.add("ended before it started", steps["place"][backwards])
    steps.loc[backwards, ["started", "armed", "resumed", "ended"]] = np.nan
    wait_backwards = steps["resumed"] < steps["armed"]
    problems.add("resumed before it was suspended", steps["place"][wait_backwards])
    steps.loc[wait_backwards, ["armed", "resumed"]] = np.nan
    first = steps[list(ORDER)].min(axis=1)
    last_of_case = first.groupby(steps["case"]).transform("max")
    unended = steps["ended"].isna() & ~backwards
    if has & {"queued", "started"}:
        begun_later = unended & (first < last_of_case)
        problems.add("no end, though its case went on", steps["place"][begun_later], KEPT)
        problems.add(
            "no end (still open, or cut off)", steps["place"][unended & ~begun_later], KEPT
        )
    if "started" in has:
        lacking = usual & steps["started"].isna() & steps["ended"].notna()
        problems.add("no start", steps["place"][lacking], KEPT)
    lost = steps[list(ORDER)].isna().all(axis=1)
    return steps[~lost].reset_index(drop=True)
