"""A scenario file to begin with: every key of its tables, with its meaning and its default."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import attrs
import tomli_w

from asyncsim.model.arrivals import Poisson
from asyncsim.model.distributions import Exponential, Lognormal
from asyncsim.model.process import AsyncStep, Branch, Choice, Element, Process, Step
from asyncsim.model.scenario import Scenario
from asyncsim.model.scenario_files import ARRAYS, KIND_OF, OBJECTS, table_of
from asyncsim.model.schema import default_of, meanings_of
from asyncsim.model.server import CostModel, WorkflowServer
from asyncsim.model.systems import Chain, ExternalSystem, NightlyBatch, OnlineService, People

BATCH = NightlyBatch("22:00", Lognormal("150ms", "100ms"))
SYSTEMS: dict[str, dict[str, ExternalSystem]] = {
    "nightly-batch": {"ledger": BATCH},
    "service": {"rating": OnlineService(Exponential("10min"), lanes=None)},
    "people": {"approvers": People(12, Exponential("12min"))},
    "chain": {
        "route": Chain([OnlineService("2s", lanes=4), NightlyBatch("22:00", Exponential("1s"))])
    },
    "choice": {"approvers": People(4, Exponential("12min")), "ledger": BATCH},
}
EXAMPLES: dict[str, Any] = {
    **{"zone": "Europe/Berlin", "holidays": "DE", "finish_limit": "100 per 60 s", "timeout": "2d"},
    **{"step_timeout": "3d", "until": "17:00", "timeout_sweep": "1min"},
    "store": {"check_work": "1ms", "callback_work": "6ms", "writers": 1},
    "outages": [{"start": "02:00", "length": "30min"}],
    **{"cut_off": "20:00", "end": "06:00", "max_items": 5000, "when": {"approved": True}},
}
"""Values of keys that have no default."""
WIDTH = 98
WEEKLY = ("people", "choice")  # a day of people says nothing on weekends


def new_scenario(kind: str) -> Scenario:
    """Return a scenario with external systems of a kind: a choice decides whether one is called."""
    systems = SYSTEMS[kind]
    *decided, last = systems
    steps: list[Element] = [
        Choice(f"need {name}?", [Branch(0.3, [AsyncStep(f"ask {name}", name)]), Branch(0.7)])
        for name in decided
    ]
    before, after = Step("validate", Exponential("200ms")), Step("notify", "200ms")
    return Scenario(
        name=f"my {kind.replace('-', ' ')}",
        description="What this is, and where its numbers come from.",
        process=Process("my process", [before, *steps, AsyncStep("wait", last), after]),
        systems=systems,
        length="4w" if kind in WEEKLY else "1d",
        server=WorkflowServer(workers=4, poll_work="10ms", callback_work="20ms"),
        arrivals=Poisson("300/day", between=("08:00", "20:00")),
    )


def new_file(kind: str) -> str:
    """Return the text of a new scenario file."""
    scenario = new_scenario(kind)
    lines = [
        "# A scenario of asyncsim. Simulate it:  asyncsim compare FILE",
        "# A key that begins with '#' has the value shown, or none if that is an example: remove",
        "# the '#' to change it.",
        *_keys(scenario),
        *_table("process", scenario.process),
        *_elements("process.steps", scenario.process.steps),
    ]
    for name, system in scenario.systems.items():
        lines += _table(f"systems.{name}", system)
        for link in system.links[1:] and system.links:
            lines += _table(f"[systems.{name}.systems]", link)
    lines += _table("arrivals", scenario.arrivals)
    lines += _table("server", scenario.server)
    lines += [
        "",
        "# Prices, for metrics of cost. Remove the '#' of the next line, too.",
        "# [costs]",
    ]
    return "\n".join([*lines, *_keys(CostModel())]) + "\n"


def _elements(header: str, elements: Sequence[Element]) -> Iterator[str]:
    """Yield the tables of elements; those of branches have longer names."""
    for element in elements:
        yield from _table(f"[{header}]", element)
        for branch in element.branches if isinstance(element, Choice) else ():
            yield from _table(f"[{header}.branches]", branch)
            yield from _elements(f"{header}.branches.steps", branch.steps)


def _table(header: str, described: Any) -> Iterator[str]:
    yield ""
    yield f"[{header}]"
    if type(described) in KIND_OF:
        yield f'kind = "{KIND_OF[type(described)]}"'
    yield from _keys(described)


def _keys(described: Any) -> Iterator[str]:
    """Yield each key of a table after its meaning; one that has its default is a comment."""
    meanings, given = meanings_of(type(described)), table_of(described)
    before = ""
    fields = attrs.fields(type(described))
    for field in sorted(fields, key=lambda field: field.default is not attrs.NOTHING):
        key, default = field.alias, default_of(field)
        inside = key in OBJECTS or (key in ARRAYS and key != "on_timeout")
        if inside and key not in EXAMPLES:
            continue
        text = meanings.get(key, "")
        if text and text != before:
            before = text
            yield from textwrap.wrap(text, WIDTH, initial_indent="# ", subsequent_indent="# ")
        if key in given:
            yield _line(key, given[key])
        elif default is not None and not inside:
            yield f"# {_line(key, default)}"
        else:
            yield f"# {_line(key, EXAMPLES[key])}  # an example"


def _line(key: str, value: Any) -> str:
    """Return a key with its value on one line."""
    if isinstance(value, Mapping):
        inner = ", ".join(_line(name, one) for name, one in value.items())
        return f"{key} = {{ {inner} }}"
    text = " ".join(tomli_w.dumps({key: value}).split())
    return text.replace("[ ", "[").replace(", ]", "]")
