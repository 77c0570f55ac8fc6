"""A scenario file to begin with: every key of its tables, with its meaning and its default."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

import attrs
import tomli_w

from asyncsim.model.arrivals import Poisson
from asyncsim.model.distributions import Exponential, Lognormal
from asyncsim.model.process import AsyncStep, Process, Step
from asyncsim.model.scenario import Scenario
from asyncsim.model.scenario_files import ARRAYS, KIND_OF, OBJECTS, table_of
from asyncsim.model.schema import default_of, meanings_of
from asyncsim.model.server import WorkflowServer
from asyncsim.model.systems import Chain, ExternalSystem, NightlyBatch, OnlineService, People

SYSTEMS: dict[str, tuple[str, ExternalSystem]] = {
    "nightly-batch": ("ledger", NightlyBatch("22:00", Lognormal("150ms", "100ms"))),
    "service": ("rating", OnlineService(Exponential("10min"), lanes=None)),
    "people": ("approvers", People(3, Exponential("12min"))),
    "chain": (
        "route",
        Chain([OnlineService("2s", lanes=4), NightlyBatch("22:00", Exponential("1s"))]),
    ),
}
WIDTH = 98


def new_scenario(kind: str) -> Scenario:
    """Return a scenario with one external system of a kind."""
    name, system = SYSTEMS[kind]
    before, after = Step("validate", Exponential("200ms")), Step("notify", "200ms")
    return Scenario(
        name=f"my {kind.replace('-', ' ')}",
        description="What this is, and where its numbers come from.",
        process=Process("my process", [before, AsyncStep("wait", name), after]),
        systems={name: system},
        server=WorkflowServer(workers=4, poll_work="10ms", callback_work="20ms"),
        arrivals=Poisson("1000/day", between=("08:00", "20:00")),
    )


def new_file(kind: str) -> str:
    """Return the text of a new scenario file."""
    scenario = new_scenario(kind)
    lines = [
        "# A scenario of asyncsim. Simulate it:  asyncsim compare FILE",
        "# Keys that begin with '#' have the value shown, or none, unless you change it.",
        *_keys(scenario),
        *_table("process", scenario.process),
    ]
    for step in scenario.process.steps:
        lines += _table("[process.steps]", step)
    for name, system in scenario.systems.items():
        lines += _table(f"systems.{name}", system)
        for link in system.links[1:] and system.links:
            lines += _table(f"[systems.{name}.systems]", link)
    lines += _table("arrivals", scenario.arrivals)
    lines += _table("server", scenario.server)
    return "\n".join(lines) + "\n"


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
        if key in OBJECTS or (key in ARRAYS and key != "on_timeout"):
            continue
        text = meanings.get(key, "")
        if text and text != before:
            before = text
            yield from textwrap.wrap(text, WIDTH, initial_indent="# ", subsequent_indent="# ")
        if key in given:
            yield _line(key, given[key])
        elif default is not None:
            yield f"# {_line(key, default)}"
        else:
            yield f"# {key} ="


def _line(key: str, value: Any) -> str:
    """Return a key with its value on one line."""
    if isinstance(value, Mapping):
        inner = ", ".join(_line(name, one) for name, one in value.items())
        return f"{key} = {{ {inner} }}"
    text = " ".join(tomli_w.dumps({key: value}).split())
    return text.replace("[ ", "[").replace(", ]", "]")
