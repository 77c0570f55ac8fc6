"""From the events of a log to executed steps, paths of cases, and damaged rows.

`executions_of` pairs starts with ends; `paths_of` finds the commonest order of steps and the cases
that deviate from it; `Problems` counts damaged rows by kind, with their first places.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd
from attrs import frozen

from asyncsim.calibration.findings import SHOWN, Finding, Gap, Settings, share_text
from asyncsim.errors import ScenarioError
from asyncsim.model.units import nearest
from asyncsim.model.validation import scenario_error

DROPPED, KEPT, SORTED = "no", "yes", "yes, sorted"


class Problems:
    """Collects damaged rows by kind."""

    def __init__(self, place: str, of: str = "") -> None:
        self.place = place
        self._of = f" of {of}" if of else ""
        self._rows: list[dict[str, object]] = []

    def add(self, problem: str, places: Iterable[int], used: str = DROPPED) -> None:
        """Note rows that have one kind of problem, and whether they are used all the same."""
        found = sorted(int(place) for place in places)
        if not found:
            return
        more = ", …" if len(found) > SHOWN else ""
        shown = ", ".join(str(place) for place in found[:SHOWN])
        word = self.place + "s" * (len(found) > 1) + self._of
        self._rows.append(
            {"problem": problem, "rows": len(found), "used": used, "first": f"{word} {shown}{more}"}
        )

    def take(self, other: Problems) -> None:
        """Add those of another table."""
        self._rows += other._rows

    @property
    def table(self) -> pd.DataFrame:
        """One row per kind: ``problem, rows, used, first``."""
        return pd.DataFrame(self._rows, columns=["problem", "rows", "used", "first"])

    def sentence(self, name: str, rows: int) -> str:
        """Return a warning of each kind; empty if rows only had to be sorted."""
        damaged = [r for r in self._rows if r["used"] != SORTED]
        kinds = "; ".join(f"{r['problem']}: {r['rows']} ({r['first']})" for r in damaged)
        return f"{name}: some of its {rows} rows are damaged: {kinds}" if damaged else ""


# What the transitions of XES are called here; asyncsim writes a wait as suspend and resume
TRANSITIONS = {
    "schedule": "queued", "assign": "queued", "start": "started", "suspend": "armed",
    "resume": "resumed", "complete": "ended",
    "ate_abort": "ended", "pi_abort": "ended", "withdraw": "ended",
}  # fmt: skip
# No completions: a wait that timed out or was given up, a step that failed
ABORTED = ("ate_abort", "pi_abort", "withdraw")
ORDER = ("queued", "started", "armed", "resumed", "ended")


def executions_of(
    events: pd.DataFrame, system: str | Mapping[str, str] | None, problems: Problems
) -> pd.DataFrame:
    """Return one row per executed step; damage is noted in `problems`."""
    known = events["transition"].isin(list(TRANSITIONS))
    if not known.any():
        words, other = ", ".join(TRANSITIONS), events["transition"].iloc[0]
        raise ScenarioError(
            f"the log has no event of a known lifecycle transition ({words}), but {other!r}"
        )
    problems.add("unknown lifecycle transition", events["place"][~known])
    aborted = events["transition"].isin(ABORTED)
    what = "ended without completing (timed out, rejected, failed)"
    problems.add(what, events["place"][aborted], KEPT)
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
    """Return the number of the execution of its step that each event belongs to."""
    pair = [events["case"], events["step"]]
    doubled = events.duplicated(["case", "step", "what"], keep=False)
    repeated = doubled.groupby(pair).transform("any")
    before = events.groupby(["case", "step"])["rank"].shift()
    opening = events["rank"] <= ORDER.index("started")
    new = (before == ORDER.index("ended")) | (opening & (before >= events["rank"]))
    return (new & repeated).astype(int).groupby(pair).cumsum()


def _with_systems(
    steps: pd.DataFrame, system: str | Mapping[str, str] | None, has: frozenset[str]
) -> pd.DataFrame:
    names = list(dict.fromkeys(steps["step"]))
    waiting = list(dict.fromkeys(steps["step"][steps["armed"].notna()]))
    resources = steps[steps["resource"] != ""].groupby("step")["resource"]
    resource = resources.agg(lambda names: names.mode().iloc[0])  # the commonest
    chosen = {step: str(resource.get(step, f"system of {step}")) for step in waiting}
    if isinstance(system, str):
        if len(waiting) != 1:
            raise scenario_error(
                "system",
                f"must say which step waits for it ({len(waiting)} of them suspend in this log), "
                f"such as {{{names[0]!r}: {system!r}}}",
                system,
            )
        chosen = {waiting[0]: system}
    elif system is not None:
        if not isinstance(system, Mapping):
            raise scenario_error(
                "system", "must be a name, or map steps to names of systems", system
            )
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
    if "resumed" not in has:  # only the end of its step shows that a wait is over
        over = steps["armed"].notna() & ~steps["aborted"]
        steps["resumed"] = steps["resumed"].mask(over, steps["ended"])
    return steps.drop(columns="resource")


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
        still_open = steps["place"][unended & ~begun_later]
        problems.add("no end (still open, or cut off)", still_open, KEPT)
    if "started" in has:
        lacking = usual & steps["started"].isna() & steps["ended"].notna()
        problems.add("no start", steps["place"][lacking], KEPT)
    lost = steps[list(ORDER)].isna().all(axis=1)
    return steps[~lost].reset_index(drop=True)


@frozen
class Paths:
    """Which way cases went."""

    main: tuple[str, ...]  # steps of the commonest path of the cases that have ended
    on_it: int  # cases that went it to its end
    open: int  # cases that have gone part of it, and whose last step has not ended
    # cases by path, the commonest first, for all others
    others: tuple[tuple[tuple[str, ...], int], ...]

    @property
    def unexplained(self) -> int:
        """Cases that went another way."""
        return sum(count for _, count in self.others)

    @property
    def cases(self) -> int:
        """All cases."""
        return self.on_it + self.open + self.unexplained

    def difference(self, path: tuple[str, ...]) -> str:
        """Report in two or three words how a path differs from the main one."""
        if len(set(path)) < len(path):
            return "a step comes again"
        kept = [step for step in path if step in self.main]
        in_order = kept == [step for step in self.main if step in kept]
        if len(kept) == len(path):
            return "steps left out" if in_order else "another order"
        return "more steps" if in_order and len(kept) == len(self.main) else "other steps"


def paths_of(steps: pd.DataFrame) -> Paths:
    """Return the paths of the cases of a log (`asyncsim.calibration.log_reader.Log.steps`)."""
    times = steps[["queued", "started", "armed", "resumed", "ended"]]
    ordered = steps.assign(first=times.min(axis=1)).sort_values(
        ["case", "first", "ended", "place"]  # what begins as another ends comes after it
    )
    gone: dict[object, list[str]] = {}
    for case, step in zip(ordered["case"], ordered["step"], strict=True):
        gone.setdefault(case, []).append(step)
    paths = pd.Series([tuple(path) for path in gone.values()], index=list(gone))
    ended = ordered["ended"].fillna(ordered["resumed"]).fillna(ordered["completed"]).notna()
    is_open = ~ended.groupby(ordered["case"], sort=False).last()
    closed = Counter(paths[~is_open])
    main = (closed or Counter(paths)).most_common(1)[0][0]
    part = is_open & (paths.map(lambda path: main[: len(path)] == path))
    others = Counter(paths[~part & (paths != main)])
    return Paths(
        main=main,
        on_it=int((~part & (paths == main)).sum()),
        open=int(part.sum()),
        others=tuple(others.most_common()),
    )


def path_rows(paths: Paths, settings: Settings) -> tuple[list[Finding], list[Gap]]:
    """Report which order of steps was found, and who does not keep to it."""
    cases = paths.cases
    share = share_text(cases - paths.unexplained, cases, settings.confidence)
    found = Finding(
        "process", "steps", " → ".join(paths.main), cases,
        f"share of cases on it {share}",
        f"commonest path: {paths.on_it} cases went all of it, {paths.open} a part so far",
    )  # fmt: skip
    if not paths.unexplained:
        return [found], []
    some = "; ".join(
        f"{count}: {paths.difference(path)} ({' → '.join(path)})"
        for path, count in paths.others[:SHOWN]
    )
    more = f"; and {len(paths.others) - SHOWN} other paths" if len(paths.others) > SHOWN else ""
    amount = f"{paths.unexplained} of {cases} cases ({paths.unexplained / cases:.2%})"
    meaning = f"the scenario has one path for all; {some}{more}"
    return [found], [Gap("process", "cases on other paths", amount, meaning)]


def problem_gaps(problems: pd.DataFrame, rows: int) -> list[Gap]:
    """Report how many rows are in no number."""
    lost = int(problems.loc[problems["used"] == "no", "rows"].sum())
    if not lost:
        return []
    meaning = "see problems for their kinds and places"
    return [Gap("log", "rows not used", f"{lost} of {rows} ({lost / rows:.2%})", meaning)]
