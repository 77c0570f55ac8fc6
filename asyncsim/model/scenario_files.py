"""Scenario files: TOML in, TOML out.

The classes themselves say which keys exist; what each key may hold is checked where the object is
made. This module only finds the class for a table and tells *where* in the file something is wrong.
"""

from __future__ import annotations

import re
import textwrap
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any, TypeVar

import attrs
import tomli_w

from asyncsim.errors import ScenarioError
from asyncsim.model import units
from asyncsim.model.arrivals import ARRIVALS, Arrivals
from asyncsim.model.costs import CostModel
from asyncsim.model.distributions import DISTRIBUTIONS, Duration, Fixed
from asyncsim.model.examples import SCENARIO, example_like, readable_file
from asyncsim.model.process import (
    MOST_NESTED,
    AsyncStep,
    Branch,
    Choice,
    Element,
    Parallel,
    Process,
    Step,
)
from asyncsim.model.process import Response as ResponseShares
from asyncsim.model.server import FinishPolicy, SlidingWindow, TokenBucket, WorkflowServer
from asyncsim.model.strategies import STRATEGIES
from asyncsim.model.strategy_base import Strategy
from asyncsim.model.systems import SYSTEMS, ExternalSystem
from asyncsim.model.units import Rate, nearest
from asyncsim.model.validation import argument, choice, file_read_error, scenario_error, shown

T = TypeVar("T")
ELEMENTS: dict[str, type[Element]] = {
    "step": Step,
    "async step": AsyncStep,
    "choice": Choice,
    "parallel": Parallel,
}
KIND_OF: dict[type, str] = {
    cls: kind for table in (ELEMENTS, SYSTEMS, ARRIVALS, STRATEGIES) for kind, cls in table.items()
}
OF_SOME_KIND = (Element, ExternalSystem, Arrivals)
NUMBERS = re.compile(
    r"^(?P<indent> *)(?P<key>[\w-]+ = )?\[\n(?P<numbers>(?: *[-+.\de]+,\n)+) *\]", re.MULTILINE
)
"""An array of numbers as tomli_w writes it, one to a line."""
WIDTH = 100
MOST_CHARACTERS = 50_000_000
"""A log of a million requests fits in."""
MOST_PARTS = 3 * MOST_NESTED
"""Of a key such as ``a.b.c``, and levels of arrays: a file needs two for each level of steps."""
NO_STRUCTURE = re.compile(
    r'"""(?:[^"\\]|\\.|"(?!""))*+"{3,5}'
    r"|'''(?:[^']|'(?!''))*+'{3,5}"
    r'|"(?:[^"\\\n]|\\.)*+"'
    r"|'[^'\n]*+'|#[^\n]*+",
    re.DOTALL,
)
"""Strings and comments of TOML."""
DOTTED = re.compile(rf"(?<![\w-])(?:[\w-]++[ \t]*+\.[ \t]*+){{{MOST_PARTS}}}")
NO_BRACKETS = re.compile(r"[^][{}]+")
LAW_KEYS = ("work", "call_work", "item_time", "delay")
PATH_KEYS = ("on_accepted", "on_done", "on_rejected", "on_timeout")
DURATION_READERS = (
    units.duration,
    units.positive_duration,
    units.length,
    units.optional_duration,
)


def load(path: str | Path, cls: type[T]) -> T:
    """Read a scenario from a TOML file; see `Scenario.load`."""
    place = readable_file(path, SCENARIO)
    try:
        with place.open(encoding="utf-8-sig") as file:
            text = file.read(MOST_CHARACTERS + 1)  # an endless device ends here, too
    except OSError as error:
        raise file_read_error(path, error, example_like(path, SCENARIO)) from None
    except UnicodeDecodeError as error:
        raise ScenarioError(f"{path}: is not UTF-8 text (byte {error.start})") from None
    return loads(text, cls, str(path))


def loads(text: str, cls: type[T], name: str) -> T:
    """Read a scenario from the text of a file; `name` is what messages call it."""
    try:
        data = tomllib.loads(_bounded(text, name))
    except (ValueError, RecursionError) as error:  # ValueError also for endless whole numbers
        log = Path(name).suffix.lower() in (".csv", ".xes")
        hint = "; a log? fit makes a scenario from it (asyncsim fit)" if log else ""
        raise ScenarioError(f"{name}: is not valid TOML: {error}{hint}") from None
    return _scenario(data, cls, _Place(name))


def _bounded(text: str, name: str) -> str:
    """Return the text of a file that can be parsed in a time that grows as its length."""
    if len(text) > MOST_CHARACTERS:
        raise ScenarioError(f"{name}: must have {MOST_CHARACTERS:,} characters at most")
    plain = NO_STRUCTURE.sub("_", text)
    if DOTTED.search(plain):
        raise ScenarioError(f"{name}: a key must have {MOST_PARTS} dotted parts at most")
    depth = 0
    for sign in NO_BRACKETS.sub("", plain):
        depth += 1 if sign in "[{" else -1
        if depth > MOST_PARTS:
            raise ScenarioError(f"{name}: arrays must not be nested deeper than {MOST_PARTS}")
    return text


def save(scenario: object, path: str | Path) -> None:
    """Write a scenario to a TOML file; see `Scenario.save`."""
    place = scenario_file(path)
    text = _bounded(dumps(scenario), str(path))
    try:
        place.write_text(text, encoding="utf-8", newline="\n")
    except OSError as error:
        raise ScenarioError(f"{path}: cannot be written ({error.strerror})") from None


def scenario_file(path: str | Path, called: str = "path") -> Path:
    """Return the path of a scenario to write, checked: another suffix would promise other text."""
    place = argument(called, path, units.file_name)
    if place.suffix.lower() not in ("", ".toml"):
        raise scenario_error(called, "must end in .toml", str(path))
    return place


def dumps(scenario: object) -> str:
    """Return the text of a scenario's file."""
    return NUMBERS.sub(_in_lines, tomli_w.dumps(_table(scenario)))


def _in_lines(array: re.Match[str]) -> str:
    """Write an array of numbers in lines of many: a week of rates is 168 of them."""
    indent, numbers = array["indent"], " ".join(array["numbers"].split()).removesuffix(",")
    start = indent + (array["key"] or "")
    text = f"{start}[{numbers}]"
    if len(text) <= WIDTH:
        return text
    lines = textwrap.fill(numbers, WIDTH, initial_indent=indent + "    ",
                          subsequent_indent=indent + "    ")  # fmt: skip
    return f"{start}[\n{lines},\n{indent}]"


def strategy_table(strategy: Strategy) -> dict[str, Any]:
    """Write a strategy as a table; `strategy_from` gives an equal one back."""
    if type(strategy) not in STRATEGIES.values():
        raise ScenarioError(
            f"{type(strategy).__name__} is a strategy of your own: no file holds it"
        )
    return _table(strategy)


def told_apart(strategies: Sequence[Strategy]) -> tuple[str, ...]:
    """Return a label for each strategy; equal labels also show the parameters that differ.

    Examples
    --------
    >>> from asyncsim.model.strategies import Callback, Polling
    >>> told_apart([Callback("50ms"), Callback("1s"), Polling("1min")])
    ('callback, delay 50 ms', 'callback, delay 1 s', 'polling 1 min')
    """
    labels = []
    for one in strategies:
        alike = [other for other in strategies if other.label == one.label]
        of_kind = [other for other in alike if type(other) is type(one)]
        words = [one.label]
        if len(of_kind) < len(alike):
            words.append(type(one).__name__)
        cls: type[Any] = type(one)
        for field in attrs.fields(cls) if attrs.has(cls) else ():
            value = getattr(one, field.name)
            if any(getattr(other, field.name) != value for other in of_kind):
                words.append(f"{field.alias.replace('_', ' ')} {_parameter(value, field)}")
        labels.append(", ".join(words))
    return tuple(labels)


def _parameter(value: Any, field: attrs.Attribute[Any]) -> str:
    """Write a parameter of a strategy in a label, exactly, in 60 characters at most."""
    try:
        is_time = _reader(field) in (*DURATION_READERS, units.poll_interval)
        text = _time(value) if is_time and value is not None else _words(_value(value, field))
    except ScenarioError:  # a law of the user's own
        text = repr(value)
    return text if len(text) <= 60 else f"{text[:37]}…{text[-22:]}"


def _time(seconds: float) -> str:
    written = _words(units.format_duration(seconds))
    return f"{written} s" if written[-1].isdigit() else written


def _words(written: Any) -> str:
    if isinstance(written, dict):
        rest = (f"{name} {_words(part)}" for name, part in written.items() if name != "law")
        return " ".join([written.get("law", ""), *rest])
    if isinstance(written, list):  # of pauses
        return "/".join(map(_time, written)) or "none"
    if isinstance(written, str):
        return re.sub(r"(?<=\d)(?=[a-z])", " ", written)
    return "none" if written is None else repr(written).removesuffix(".0")


def strategy_from(table: object, name: str) -> Strategy:
    """Read a strategy from a table; `name` is what messages call its file."""
    place = _Place(name).inside("strategy")
    values = place.table(table)
    cls = _kind(values, STRATEGIES, place)
    strategy: Strategy = _make(cls, _with_laws(_without_kind(values), place), place)
    return strategy


# --- reading ------------------------------------------------------------------------------------


class _Place:
    """Where in a file we are, for messages."""

    def __init__(self, file: str, key: str = "") -> None:
        self.file = file
        self.key = key

    def inside(self, key: str | int) -> _Place:
        step = f"[{key + 1}]" if isinstance(key, int) else f".{key}" if self.key else key
        return _Place(self.file, self.key + step)

    def error(self, problem: str) -> ScenarioError:
        return ScenarioError(f"{self.file}: {self.key + ': ' if self.key else ''}{problem}")

    def table(self, value: object) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise self.error(f"must be a table, got {shown(value)}")
        return value

    def array(self, value: object) -> list[Any]:
        if not isinstance(value, list):
            raise self.error(f"must be an array, got {shown(value)}")
        return value

    def choice(self, key: str, value: object, valid: Iterable[str]) -> str:
        try:
            return choice(key, value, valid)
        except ScenarioError as error:
            raise self.error(str(error)) from None


def _make(cls: type[Any], values: Mapping[str, Any], place: _Place) -> Any:
    """Make an object of an attrs class from already converted values, checking the keys."""
    keys = {field.alias: field for field in attrs.fields(cls)}
    for key in values:
        if key not in keys:
            raise place.error(f"{cls.__name__} has no key {shown(key)}{nearest(key, keys)}")
    for key, field in keys.items():
        if field.default is attrs.NOTHING and key not in values:
            raise place.error(f"{cls.__name__} lacks the key {key!r}")
    try:
        return cls(**values)
    except ScenarioError as error:
        raise place.error(str(error)) from None


def _kind(table: dict[str, Any], kinds: Mapping[str, type[Any]], place: _Place) -> type[Any]:
    return kinds[place.choice("kind", table.get("kind"), kinds)]


def _scenario(data: dict[str, Any], cls: type[T], place: _Place) -> T:
    values = dict(data)
    if "process" in values:
        values["process"] = _process(values["process"], place.inside("process"))
    if "systems" in values:
        where = place.inside("systems")
        values["systems"] = {
            name: _system(table, where.inside(name))
            for name, table in where.table(values["systems"]).items()
        }
    if "arrivals" in values:
        where = place.inside("arrivals")
        table = where.table(values["arrivals"])
        values["arrivals"] = _make(_kind(table, ARRIVALS, where), _without_kind(table), where)
    if "server" in values:
        values["server"] = _server(values["server"], place.inside("server"))
    if "costs" in values:
        where = place.inside("costs")
        values["costs"] = _make(CostModel, where.table(values["costs"]), where)
    scenario: T = _make(cls, values, place)
    return scenario


def _without_kind(table: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in table.items() if key != "kind"}


def _server(data: object, place: _Place) -> WorkflowServer:
    values = dict(place.table(data))
    if "policy" in values:
        where = place.inside("policy")
        values["policy"] = _make(FinishPolicy, where.table(values["policy"]), where)
    server: WorkflowServer = _make(WorkflowServer, values, place)
    return server


def _process(data: object, place: _Place) -> Process:
    values = dict(place.table(data))
    if "steps" in values:
        values["steps"] = _elements(values["steps"], place.inside("steps"))
    process: Process = _make(Process, values, place)
    return process


def _elements(data: object, place: _Place) -> list[Element]:
    return [_element(part, place.inside(k)) for k, part in enumerate(place.array(data))]


def _element(data: object, place: _Place) -> Element:
    table = place.table(data)
    cls = _kind(table, ELEMENTS, place)
    values = _with_laws(_without_kind(table), place)
    for key in PATH_KEYS:
        if isinstance(values.get(key), list):
            values[key] = _elements(values[key], place.inside(key))
    if "response" in values:
        where = place.inside("response")
        values["response"] = _make(ResponseShares, where.table(values["response"]), where)
    if "branches" in values:
        where = place.inside("branches")
        branches = [
            _branch(part, where.inside(k)) for k, part in enumerate(where.array(values["branches"]))
        ]
        if cls is Parallel:
            values["branches"] = [
                _steps_only(branch, where.inside(k)) for k, branch in enumerate(branches)
            ]
        else:
            values["branches"] = [
                _make(Branch, branch, where.inside(k)) for k, branch in enumerate(branches)
            ]
    element: Element = _make(cls, values, place)
    return element


def _branch(data: object, place: _Place) -> dict[str, Any]:
    values = dict(place.table(data))
    if "steps" in values:
        values["steps"] = _elements(values["steps"], place.inside("steps"))
    return values


def _steps_only(branch: dict[str, Any], place: _Place) -> list[Element]:
    for key in branch:
        if key != "steps":
            raise place.error(f"a parallel branch has no key {shown(key)}{nearest(key, ['steps'])}")
    found: list[Element] = branch.get("steps", [])
    return found


def _system(data: object, place: _Place) -> Any:
    table = place.table(data)
    cls = _kind(table, SYSTEMS, place)
    values = _with_laws(_without_kind(table), place)
    if "systems" in values:
        where = place.inside("systems")
        values["systems"] = [
            _system(part, where.inside(k)) for k, part in enumerate(where.array(values["systems"]))
        ]
    return _make(cls, values, place)


def _with_laws(values: dict[str, Any], place: _Place) -> dict[str, Any]:
    """Turn tables such as ``{law = "exponential", mean = "10min"}`` into laws of durations."""
    result = dict(values)
    for key in LAW_KEYS:
        if isinstance(values.get(key), dict):
            where, table = place.inside(key), dict(values[key])
            kind = where.choice("law", table.pop("law", None), DISTRIBUTIONS)
            result[key] = _make(DISTRIBUTIONS[kind], table, where)
    return result


# --- writing ------------------------------------------------------------------------------------


def _table(obj: Any) -> dict[str, Any]:
    """Write an attrs object as a table, leaving out what equals its default."""
    if isinstance(obj, OF_SOME_KIND) and type(obj) not in KIND_OF:
        raise ScenarioError(f"{type(obj).__name__} is a class of your own: no file can hold it")
    table: dict[str, Any] = {"kind": KIND_OF[type(obj)]} if type(obj) in KIND_OF else {}
    for field in attrs.fields(type(obj)):
        value = getattr(obj, field.name)
        if value != _default(field):
            table[field.alias] = units.UNLIMITED if value is None else _value(value, field)
    if isinstance(obj, Parallel):
        table["branches"] = [{"steps": steps} for steps in table["branches"]]
    return table


def _default(field: attrs.Attribute[Any]) -> Any:
    default: Any = field.default
    if default is attrs.NOTHING:
        return default
    if isinstance(default, attrs.Factory):  # type: ignore[arg-type]
        default = default.factory()
    reader = _reader(field)
    return reader(default) if reader else default


def _reader(field: attrs.Attribute[Any]) -> Any:
    """Return the plain function behind a converter that `described.named` has dressed."""
    return getattr(getattr(field.converter, "converter", None), "__wrapped__", None)


def _value(value: Any, field: attrs.Attribute[Any] | None = None) -> Any:
    if isinstance(value, Duration):
        if type(value) not in DISTRIBUTIONS.values():
            raise ScenarioError(f"{type(value).__name__} is a law of your own: no file can hold it")
        if isinstance(value, Fixed):
            return units.format_duration(value.value)
        return {"law": value.kind} | _table(value)
    if isinstance(value, float) and field and _reader(field) in DURATION_READERS:
        return units.format_duration(value)
    if isinstance(value, (Rate, date, SlidingWindow, TokenBucket)):
        return str(value)
    if isinstance(value, Mapping):
        return {name: _value(part) for name, part in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_value(part) for part in value]
    described = attrs.has(type(value)) or isinstance(value, OF_SOME_KIND)
    return _table(value) if described else value
