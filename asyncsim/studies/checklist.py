"""The checklist STRESS-DES for reporting discrete-event simulations, filled in from studies.

Monks, Currie, Onggo, Robinson, Kunc and Taylor: Strengthening the reporting of empirical simulation
studies. Journal of Simulation 13 (2019) 55-67, doi:10.1080/17477778.2018.1442155. The items are in
``stress_des.toml``; those that only the authors of a study can answer are left open.
"""

from __future__ import annotations

import importlib.metadata
import platform
import tomllib
from collections.abc import Sequence
from importlib.resources import files
from typing import NamedTuple, Protocol, runtime_checkable

import pandas as pd

from asyncsim.engine.metrics import metric_in_words
from asyncsim.experiment.replications import distinct
from asyncsim.model.process import AsyncStep, Step
from asyncsim.model.scenario import Scenario
from asyncsim.model.units import number_text
from asyncsim.model.words import elements_in_words, period_in_words, server_in_words, time_in_words
from asyncsim.studies.steady_state import SteadyState

MOST_METRICS = 30
MOST_LETTERS = 1000  # of the description of a part; the scenario file has all of it
PACKAGES = ("asyncsim", "simpy", "numpy", "scipy", "pandas", "matplotlib", "numba")
STUDENT = "Student's t"
FROM_EMPTY = "terminating runs from an empty system, unless a warm-up is stated with a study"
FOUND_WARM_UP = "of steady states the warm-up from an empty system is found by MSER-5 and left out"


@runtime_checkable
class Study(Protocol):
    """What a report can show: a comparison, a sweep, or the answer to a question of capacity.

    It may also have ``findings()``, sentences for the first page, ``notes``, its limits, and a
    picture, ``plot()``; one without, such as an `Explanation`, is part of the method.
    """

    @property
    def scenario(self) -> Scenario:
        """What was played."""

    @property
    def replications(self) -> int:
        """Number of replications."""

    @property
    def seed(self) -> int:
        """Key of the random numbers."""

    @property
    def confidence(self) -> float:
        """Of every interval."""

    @property
    def strategies(self) -> Sequence[str]:
        """Labels of the strategies."""

    @property
    def table(self) -> pd.DataFrame:
        """All results."""

    def _repr_html_(self) -> str: ...


class ChecklistItem(NamedTuple):
    """One item of STRESS-DES: where it stands, what it asks for, and the answer, if known."""

    section: str
    number: str
    asks: str
    answer: str


def scenarios_of(studies: Sequence[Study]) -> dict[str, Scenario]:
    """Return the scenarios of studies by name, equal ones once.

    The name of one named as the first has the parts in which it differs.
    """
    found: list[Scenario] = []
    for study in studies:
        if study.scenario not in found:
            found.append(study.scenario)
    names = [found[0].name]
    for scenario in found[1:]:
        words, known = in_words(scenario), in_words(found[0])
        other = [part for part in words | known if words.get(part) != known.get(part)]
        what = f", with other {' and '.join(other).lower() or 'details'}"
        names.append(f"{scenario.name}{what if scenario.name == names[0] else ''}")
    return dict(zip(distinct(names), found, strict=True))


def checklist(studies: Sequence[Study], authors: dict[str, str]) -> list[ChecklistItem]:
    """Return the checklist for studies; `authors` holds what only they know."""
    scenarios = scenarios_of(studies)
    described = [_of_scenario(scenario) for scenario in scenarios.values()]
    answers = _of_studies(studies)
    for number in described[0]:
        texts = [one[number] for one in described]
        named = (f"{name}: {text}" for name, text in zip(scenarios, texts, strict=True))
        answers[number] = texts[0] if len(set(texts)) == 1 else "; ".join(named)
    known = files("asyncsim.experiment").joinpath("stress_des.toml").read_text(encoding="utf-8")
    found = []
    for section, items in tomllib.loads(known).items():
        for number, item in items.items():
            theirs = authors.get(item.get("author"), "")
            answer = answers.get(number, item.get("answer", theirs))
            found.append(ChecklistItem(section, number, item["asks"], answer))
    return found


def in_words(scenario: Scenario) -> dict[str, str]:
    """Return the parts of a scenario in words, by what they are."""
    process = scenario.process
    works = [(one.name, one.work) for one in process.of_type(Step)]
    works += [(f"call of {one.name}", one.call_work) for one in process.of_type(AsyncStep)]
    words = {
        "Process": elements_in_words(process.steps),
        "Arrivals": scenario.arrivals.in_words,
        "Period": period_in_words(scenario.start, scenario.length, scenario.zone),
        "External systems": "\n".join(f"{n}: {s.in_words}" for n, s in scenario.systems.items()),
        "Workflow server": server_in_words(scenario.server),
        "Worker time": "; ".join(f"{name}: {time_in_words(work)}" for name, work in works),
    }
    if scenario.costs:
        words["Prices"] = scenario.costs.in_words
    for part, text in words.items():
        short = text if len(text) < MOST_LETTERS else f"{text[: MOST_LETTERS - 1]}…"
        words[part] = short or "none"
    return words


def _of_scenario(scenario: Scenario) -> dict[str, str]:
    """Return answers about a scenario."""
    words, server = in_words(scenario), scenario.server
    about = (scenario.description or scenario.name).rstrip(".")
    operations = (
        f"{number_text(server.check_operations)} database operations a check, "
        f"{number_text(server.callback_operations)} a callback"
    )
    return {
        "2.1": f"{about}. Process: {words['Process']}",
        "2.5.1": f"instances of {scenario.process.name!r}",
        "2.5.2": f"{words['Worker time']}; {operations}",
        "2.5.3": f"{words['Workflow server']}. External systems: {words['External systems']}",
        "2.5.5": f"{words['Arrivals']}; an instance leaves when it has ended",
        "4.2": f"{words['Period']}; each run goes on until all instances have ended",
    }


def runs_in_words(study: Study) -> str:
    """Return number of replications, seed and intervals of a study; nothing if none was played."""
    n = study.replications
    if not n:  # a fit plays nothing
        return ""
    method = getattr(study, "method", STUDENT)
    runs = f"{n} replication{'s' if n != 1 else ''}"
    return f"{runs}, {100 * study.confidence:.3g} % intervals by {method}, seed {study.seed}"


def _of_studies(studies: Sequence[Study]) -> dict[str, str]:
    """Return answers about the experiments and the software."""
    metrics, aims = dict[str, None](), []
    for study in studies:
        kind = f"{type(study).__name__.lower()} of {'; '.join(study.strategies)}"
        aims.append(str(getattr(study, "question", kind)))
        if "metric" in study.table:
            metrics |= dict.fromkeys(study.table["metric"].unique())
    outputs = [metric_in_words(name) for name in list(metrics)[:MOST_METRICS]]
    more = f" and {len(metrics) - MOST_METRICS} more" if len(metrics) > MOST_METRICS else ""
    labels = dict.fromkeys(label for study in studies for label in study.strategies)
    steady = [isinstance(study, SteadyState) for study in studies]
    estimation = [text for study in studies if (text := runs_in_words(study))]
    if any(len(study.strategies) > 1 for study in studies):
        estimation.append("differences paired on common random numbers")
    seeds = ", ".join(str(seed) for seed in sorted({study.seed for study in studies}))
    return {
        "1.2": ", ".join(outputs) + more or "see the tables",
        "1.3": " / ".join(aims),
        "2.3": "waiting strategies: " + ("; ".join(labels) or "none are played"),
        "4.1": "; ".join([FROM_EMPTY] * (not all(steady)) + [FOUND_WARM_UP] * any(steady)),
        "4.3": "; ".join(dict.fromkeys(estimation)) or "closed forms; nothing was simulated",
        "5.1": f"Python {platform.python_version()}; {', '.join(map(_version, PACKAGES))}",
        "5.2": f"seed {seeds}; NumPy's PCG64 with one stream per source and replication, keyed by "
        "name, all drawn before a run",
        "5.4": f"{platform.system()} {platform.machine()}",
    }


def _version(package: str) -> str:
    try:
        return f"{package} {importlib.metadata.version(package)}"
    except importlib.metadata.PackageNotFoundError:
        return f"{package} not installed"
