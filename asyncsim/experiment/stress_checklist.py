"""The checklist STRESS-DES, filled in from what a study knows of itself.

Monks, Currie, Onggo, Robinson, Kunc and Taylor: Strengthening the reporting of empirical simulation
studies. Journal of Simulation 13 (2019) 55-67, doi:10.1080/17477778.2018.1442155. The items are
those of its discrete-event checklist, in words of our own. What only the authors of a study can
know is asked for, never made up.
"""

from __future__ import annotations

import importlib.metadata
import platform
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, runtime_checkable

import pandas as pd

from asyncsim.experiment.steady_state import SteadyState
from asyncsim.model.process import AsyncStep, Choice, Parallel, Step
from asyncsim.model.scenario import Scenario
from asyncsim.model.units import text_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PACKAGES = ("asyncsim", "simpy", "numpy", "scipy", "pandas", "matplotlib", "numba")
MOST_FIGURES = 30
MOST_LETTERS = 160
"""What is described at more length than this is cut: the scenario file has all of it."""


@runtime_checkable
class Study(Protocol):
    """What a report can show: a comparison, a sweep, or the answer to a question of capacity."""

    @property
    def scenario(self) -> Scenario:
        """What was played."""

    @property
    def replications(self) -> int:
        """How often."""

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
        """Everything that was found."""

    def plot(self) -> Figure:
        """Draw it."""

    def _repr_html_(self) -> str: ...


class Item(NamedTuple):
    """One line of the checklist.

    Attributes
    ----------
    section, number, asks
        Where it stands in STRESS-DES, and what it asks for.
    answer
        Empty if only the authors know.
    """

    section: str
    number: str
    asks: str
    answer: str


def checklist(studies: Sequence[Study], authors: dict[str, str]) -> list[Item]:
    """Return the checklist for studies.

    Parameters
    ----------
    studies
        What is reported.
    authors
        What only the authors know: ``purpose, sources, assumptions, sharing``.
    """
    scenarios = list({id(s.scenario): s.scenario for s in studies}.values())

    def each(tell: Any) -> str:
        told = [tell(scenario) for scenario in scenarios]
        if len(set(told)) == 1:
            return str(told[0])
        return "; ".join(f"{s.name}: {text}" for s, text in zip(scenarios, told, strict=True))

    said = authors.get
    return [
        Item("Objectives", "1.1", "Purpose of the model", said("purpose", "")),
        Item("Objectives", "1.2", "Model outputs", _outputs(studies)),
        Item("Objectives", "1.3", "Aims of the experiments", _aims(studies)),
        Item("Logic", "2.1", "Overview of the base model", each(_overview)),
        Item("Logic", "2.2", "Logic of the base model", RULES),
        Item("Logic", "2.3", "Logic of the scenarios", _strategies(studies)),
        Item("Logic", "2.4", "Algorithms", ALGORITHMS),
        Item("Logic", "2.5.1", "Entities", each(lambda s: f"instances of {s.process.name!r}")),
        Item("Logic", "2.5.2", "Activities", each(_activities)),
        Item("Logic", "2.5.3", "Resources", each(_resources)),
        Item("Logic", "2.5.4", "Queues", QUEUES),
        Item("Logic", "2.5.5", "Entry and exit points", each(_entry)),
        Item("Data", "3.1", "Data sources", said("sources", "")),
        Item("Data", "3.2", "Preprocessing", said("preprocessing", "")),
        Item("Data", "3.3", "Input parameters", "the scenario files below, complete"),
        Item("Data", "3.4", "Assumptions", said("assumptions", "")),
        Item("Experimentation", "4.1", "Initialisation", _initialisation(studies)),
        Item("Experimentation", "4.2", "Run length", each(_run_length)),
        Item("Experimentation", "4.3", "Estimation approach", _estimation(studies)),
        Item("Implementation", "5.1", "Software", _software()),
        Item("Implementation", "5.2", "Random sampling", _sampling(studies)),
        Item("Implementation", "5.3", "Model execution", EXECUTION),
        Item("Implementation", "5.4", "System", f"{platform.system()} {platform.machine()}"),
        Item("Code access", "6.1", "Sharing of the model", said("sharing", "")),
    ]


RULES = (
    "A worker does one thing at a time: a step's work, an outgoing call, a check, or the handling "
    "of a callback. A wait is armed after its call; the first finish resumes the step exactly "
    "once. A check sees completion if the work was complete when a worker picked the check up. "
    "The full rules are in asyncsim's manual, 'What the numbers mean'."
)
ALGORITHMS = (
    "Nightly batches, people, online services and chains as described in the scenario files; "
    "serial numbers and answers to finishes by the server's policy."
)
QUEUES = "one FIFO queue before the workers; ties at one instant by kind of event, then instance"
INITIALISATION = "terminating runs from an empty system, unless a warm-up is stated with a study"
FOUND_WARM_UP = "of steady states the warm-up from an empty system is found by MSER-5 and left out"
EXECUTION = "next-event time advance; both engines of asyncsim give the same answer"


def _outputs(studies: Sequence[Study]) -> str:
    names: dict[str, None] = {}
    for study in studies:
        if "figure" in study.table:
            names |= dict.fromkeys(study.table["figure"].unique())
    more = f" and {len(names) - MOST_FIGURES} more" if len(names) > MOST_FIGURES else ""
    return ", ".join(list(names)[:MOST_FIGURES]) + more or "see the tables"


def _aims(studies: Sequence[Study]) -> str:
    return " / ".join(
        str(getattr(study, "question", f"{type(study).__name__} of {_names(study)}"))
        for study in studies
    )


def _names(study: Study) -> str:
    return "; ".join(study.strategies)


def _strategies(studies: Sequence[Study]) -> str:
    labels = dict.fromkeys(label for study in studies for label in study.strategies)
    return "waiting strategies: " + "; ".join(labels)


def _overview(scenario: Scenario) -> str:
    parts = (f"{e.name} ({_kind(e)})" for e in scenario.process.steps)
    about = (scenario.description or scenario.name).rstrip(".")
    return f"{about}. Process: {' → '.join(parts)}"


def _kind(element: object) -> str:
    if isinstance(element, AsyncStep):
        return f"waits for {element.system}"
    return "choice" if isinstance(element, Choice) else (
        "parallel" if isinstance(element, Parallel) else "work")  # fmt: skip


def _activities(scenario: Scenario) -> str:
    works = [f"{s.name}: {_told(s.work)}" for s in scenario.process.of_type(Step)]
    calls = [f"call of {s.name}: {_told(s.call_work)}" for s in scenario.process.of_type(AsyncStep)]
    server = scenario.server
    own = [
        f"check: {text_of(server.poll_work)}, {server.check_operations:g} database operations",
        f"callback: {text_of(server.callback_work)}, {server.callback_operations:g} of them",
    ]
    return "; ".join([*works, *calls, *own])


def _told(described: object) -> str:
    text = repr(described).replace("(_", "(").replace(", _", ", ")  # mean is kept as _mean
    return text if len(text) < MOST_LETTERS else text[: MOST_LETTERS - 1] + "…"


def _resources(scenario: Scenario) -> str:
    systems = ", ".join(f"{name} ({type(s).__name__})" for name, s in scenario.systems.items())
    return f"{scenario.server.workers} workers; external systems: {systems or 'none'}"


def _entry(scenario: Scenario) -> str:
    return f"{_told(scenario.arrivals)}; an instance leaves when it has ended"


def _run_length(scenario: Scenario) -> str:
    return (
        f"arrivals for {text_of(scenario.length)} from {scenario.start}, midnight "
        f"({scenario.zone or 'no daylight saving'}); each run goes on until all has ended"
    )


def _initialisation(studies: Sequence[Study]) -> str:
    steady = any(isinstance(study, SteadyState) for study in studies)
    others = not all(isinstance(study, SteadyState) for study in studies)
    told = [INITIALISATION] * others + [FOUND_WARM_UP] * steady
    return "; ".join(told)


def _estimation(studies: Sequence[Study]) -> str:
    told = []
    for study in studies:
        n = study.replications
        how = f"by {study.method}" if isinstance(study, SteadyState) else "by Student's t"
        if n:  # a fit plays nothing
            runs = f"{n} replication{'s' if n != 1 else ''}"
            told.append(f"{runs}, {study.confidence:.0%} intervals {how}")
    if any(len(study.strategies) > 1 for study in studies):
        told.append("differences paired on common random numbers")
    return "; ".join(dict.fromkeys(told))


def _software() -> str:
    found = []
    for name in PACKAGES:
        try:
            found.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            found.append(f"{name} not installed")
    return f"Python {platform.python_version()}; " + ", ".join(found)


def _sampling(studies: Sequence[Study]) -> str:
    seeds = ", ".join(str(seed) for seed in sorted({study.seed for study in studies}))
    return (
        f"seed {seeds}; NumPy's PCG64 with one stream per source and replication, keyed by name, "
        "all drawn before a run"
    )
