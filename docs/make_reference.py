"""Write the tables of the manual from the code: ``python docs/make_reference.py``.

A page of ``docs/`` marks the place of a table, and this command fills it::

    <!-- begin keys NightlyBatch -->
    <!-- end -->

Keys, defaults and accepted values come from the classes, their meanings from the numpydoc
"Parameters" of the same classes, options from the command line's own parser, paths from the OpenAPI
description of a running endpoint, and metrics from the table of a comparison. A test compares the
committed pages with what this command writes.
"""

from __future__ import annotations

import argparse
import inspect
import json
import re
import urllib.request
from collections.abc import Callable, Iterable
from datetime import date
from pathlib import Path
from typing import Any

import attrs

import asyncsim as sim
from asyncsim.cli import main as command_line
from asyncsim.model.schema import in_one_line, meanings_of
from asyncsim.model.validation import reader_of

FOLDER = Path(__file__).parent
BLOCK = re.compile(r"(<!-- begin (\w+)(?: ([\w ]+))? -->\n).*?(<!-- end -->)", re.DOTALL)
TABLES = {
    "process": "table",
    "systems": "tables",
    "arrivals": "table",
    "server": "table",
    "policy": "table",
    "costs": "table",
    "response": "table",
    "steps": "array of tables",
    "branches": "array of tables",
    "on_accepted": "array of tables",
    "when": "table: data field = value, or an array of values",
}
"""What stands in a file where Python has an object; every other value is described by its class."""
UNITS = {"d": 86400, "h": 3600, "min": 60, "s": 1}


def written(page: str) -> str:
    """Return the text of a page with every table up to date."""

    def fill(block: re.Match[str]) -> str:
        return f"{block[1]}\n{MAKERS[block[2]](block[3])}\n\n{block[4]}"

    return BLOCK.sub(fill, page)


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Return a Markdown table."""
    lines = [list(head)]
    lines += [["---"] * len(lines[0])]
    lines += [[cell.replace("|", "\\|") for cell in row] for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


# --- keys of classes ----------------------------------------------------------------------------


def keys(name: str) -> str:
    """Return the keys of a class: accepted value, default and meaning of each."""
    cls = getattr(sim, name)
    meanings = meanings_of(cls)
    rows, seen = [], dict[str, str]()
    for field in sorted(attrs.fields(cls), key=lambda field: field.default is not attrs.NOTHING):
        if field.alias not in meanings:
            raise LookupError(f"{name}.{field.alias} lacks an entry in the class's Parameters")
        text = meanings[field.alias]
        first = seen.setdefault(text, field.alias)
        meaning = text if first == field.alias else f"See `{first}`."
        rows.append([f"`{field.alias}`", accepted(field), default(field), meaning])
    return table(("key", "value", "default", "meaning"), rows)


def accepted(field: attrs.Attribute[Any]) -> str:
    """Return what a key may hold, as the error message of its reader describes it."""
    if field.alias in TABLES:
        return TABLES[field.alias]
    text = "anything"
    try:
        reader_of(field)(object())
    except ValueError as problem:
        text = re.sub(r"^must (be |name |have )?", "", str(problem))
    text = re.sub(r"a duration such as '15min' or '1h 30min'", "duration", text)
    text = re.sub(r", or an? \w+ such as exponential.*", " or distribution", text)
    text = re.sub(r"^(an?|one of|words such as) (finite )?", "", text)
    text = re.sub(r"\('([^']*)', '([^']*)'\)", r"['\1', '\2']", text)
    text = re.sub(r"\[('[^\]]*)\]", lambda found: f"`{found[0]}`".replace("'", '"'), text)
    return re.sub(r"'([^']*)'", r'`"\1"`', text)


def default(field: attrs.Attribute[Any]) -> str:
    """Return the default of a key as a file spells it."""
    value: Any = field.default
    if value is attrs.NOTHING:
        return "required"
    if isinstance(value, attrs.Factory):  # type: ignore[arg-type]
        value = value.factory()
    if attrs.has(type(value)) and not isinstance(value, sim.Duration):
        return "its defaults"
    if value is None:
        return "none"
    seconds = value.mean if isinstance(value, sim.Duration) else value
    if "duration" in accepted(field) and seconds:
        unit = next(unit for unit, size in UNITS.items() if seconds % size == 0)
        return f'`"{seconds / UNITS[unit]:g}{unit}"`'
    if isinstance(seconds, float):
        return f"`{seconds:g}`"
    return f"`{json.dumps(str(value) if isinstance(value, date) else value)}`"


def distributions(_: str) -> str:
    """Return the distributions of durations, with their keys."""
    names = ("fixed", "exponential", "lognormal", "uniform", "gamma", "empirical")
    rows = []
    for name in names:
        make = getattr(sim, name)
        summary = (inspect.getdoc(make) or "").partition("\n")[0]
        meaning = in_one_line(re.sub(r"^Return |: ``.*", "", summary).rstrip("."))
        rows.append([f'`"{name}"`', parameters(make), f"{meaning[0].upper()}{meaning[1:]}."])
    return table(("`law`", "keys", "meaning"), rows)


def parameters(function: Callable[..., object]) -> str:
    """Return the parameters of a function, those with a default last."""
    found = inspect.signature(function).parameters.values()
    required = ", ".join(f"`{one.name}`" for one in found if one.default is one.empty)
    optional = ", ".join(f"`{one.name}`" for one in found if one.default is not one.empty)
    return f"{required}; optional: {optional}" if optional else required


# --- metrics ------------------------------------------------------------------------------------


def metrics(_: str) -> str:
    """Return name, unit and meaning of every metric, those of cost included."""
    scenario = sim.Scenario(
        name="metrics",
        process=sim.Process("wait", [sim.AsyncStep("ask", system="service")]),
        systems={"service": sim.OnlineService("1min")},
        arrivals=sim.Regular("1h"),
        costs=sim.CostModel(check=1.0, currency="money"),
    )
    found = sim.compare(scenario, [sim.Callback()], replications=2, progress=False).table
    rows = [
        [f"`{name}`", unit.removesuffix("1"), meaning]
        for name, unit, meaning in found[["metric", "unit", "meaning"]].to_numpy(str)
    ]
    return table(("name", "unit", "meaning"), rows)


# --- the command line ---------------------------------------------------------------------------


def commands(_: str) -> str:
    """Return a section for every command: what it does, an example, and its options."""
    parser = command_line._parser()
    (group,) = (one for one in parser._actions if isinstance(one, argparse._SubParsersAction))
    return "\n\n".join(command(name, one) for name, one in group.choices.items())


def command(name: str, parser: argparse.ArgumentParser) -> str:
    """Return the section of one command."""
    parts, notes = [f"### asyncsim {name}", cell(parser.description or "", parser)], list[str]()
    for part in (parser.epilog or "").split("\n\n"):
        title, _, text = part.partition(":")
        if title == "example":
            parts.append(f"```sh\n{text.strip()}\n```")
        elif title.startswith(("figures", "metrics")):
            notes.append("Names of metrics: [What the numbers mean](numbers.md#metrics).")
        elif text:
            notes.append(cell(f"{title[0].upper()}{title[1:]}: {text.strip()}", parser) + ".")
    options = [one for one in parser._actions if one.help and one.dest != "help"]
    if options:
        rows = ([f"`{spelling(one)}`", cell(one.help or "", parser)] for one in options)
        parts.append(table(("argument", "meaning"), rows))
    return "\n\n".join(parts + notes)


def spelling(option: argparse.Action) -> str:
    """Return an option as it is typed, with a word for its value."""
    given = option.metavar or (option.dest.upper() if option.nargs != 0 else "")
    if option.choices:
        given = "|".join(map(str, option.choices))
    if not option.option_strings:
        return str(option.metavar or option.dest.upper())
    return f"{option.option_strings[0]} {given}".strip()


def cell(text: str, parser: argparse.ArgumentParser) -> str:
    """Return a help text as Markdown, its quoted words as code."""
    plain = " ".join((text % {"prog": parser.prog} if "%(" in text else text).split())
    return re.sub(r"(?<![\w`])'([^']+)'(?!\w)", r"`\1`", plain)


# --- REST ---------------------------------------------------------------------------------------


def description() -> dict[str, Any]:
    """Return the OpenAPI description that a running endpoint gives."""
    session = sim.live(sim.Scenario.load("example:workshop"), hold=True)
    endpoint = session.serve(port=0, thread=True)
    try:
        with urllib.request.urlopen(f"{endpoint.url}/openapi.json") as answer:
            found: dict[str, Any] = json.load(answer)
        return found
    finally:
        endpoint.stop()
        session.close()


def rest(_: str) -> str:
    """Return a table of all paths, and one of the documents they answer with."""
    found = description()
    prefix = "/api/workflow/v1"
    paths, statuses = [], []
    for path, methods in found["paths"].items():
        for method, operation in methods.items():
            codes = sorted(operation["responses"])
            statuses.append(set(codes))
            where = path.removeprefix(f"{prefix}/")
            words = operation["description"].replace("\n", " ")
            paths.append((f"`{method.upper()} {where}`", words, codes, given(operation)))
    common = set.intersection(*statuses)
    rows = [
        [path, words, more, ", ".join(code for code in codes if code not in common)]
        for path, words, codes, more in paths
    ]
    head = (f"path, under `{prefix}`", "what it does", "parameters", "answers")
    rest = ", ".join(sorted(common))
    return f"{table(head, rows)}\n\nEvery path may also answer {rest}.\n\n{documents(found)}"


def given(operation: dict[str, Any]) -> str:
    """Return the parameters of an operation that are not part of its path."""
    found = [f"`{one['name']}`" for one in operation.get("parameters", []) if one["in"] != "path"]
    if "requestBody" in operation:
        found.append("body")
    return ", ".join(found)


def documents(found: dict[str, Any]) -> str:
    """Return a table of the JSON documents and their fields."""
    rows = []
    for name, schema in found["components"]["schemas"].items():
        fields = ", ".join(f"`{field}`" for field in schema["properties"])
        rows.append([f"`{name}`", schema.get("description", ""), fields])
    return table(("document", "what it is", "fields"), rows)


MAKERS: dict[str, Callable[[str], str]] = {
    "keys": keys,
    "distributions": distributions,
    "metrics": metrics,
    "commands": commands,
    "rest": rest,
}


def pages() -> list[Path]:
    """Return the pages that hold a generated table."""
    return [page for page in sorted(FOLDER.glob("*.md")) if BLOCK.search(page.read_text("utf-8"))]


def main() -> None:
    """Write all tables."""
    for page in pages():
        text = page.read_text("utf-8")
        page.write_text(written(text), encoding="utf-8", newline="\n")
        print(page.relative_to(FOLDER.parent))


if __name__ == "__main__":
    main()
