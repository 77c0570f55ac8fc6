"""A JSON Schema of scenario files, made from the classes: editors complete and check with it.

Keys, defaults and kinds come from the classes, meanings from the "Parameters" of their docstrings,
and accepted values from the readers of their fields (`VALUES`). What depends on two keys at once
(a cut-off after the start, say) only `Scenario.load` finds.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import attrs

from asyncsim.model import calendar, loops, units
from asyncsim.model.arrivals import ARRIVALS
from asyncsim.model.distributions import DISTRIBUTIONS, Duration
from asyncsim.model.outages import PARTS, outage_start
from asyncsim.model.scenario import Scenario
from asyncsim.model.scenario_files import (
    ARRAYS,
    BRANCHED,
    DISTRIBUTION_READERS,
    DURATION_READERS,
    OBJECTS,
    PATH_KEYS,
    file_value,
)
from asyncsim.model.server import rate_limit
from asyncsim.model.strategies import STRATEGIES
from asyncsim.model.systems import SYSTEMS
from asyncsim.model.validation import reader_of

Fragment = dict[str, Any]
KINDS: dict[str, Mapping[str, type[Any]]] = {
    "element": loops.ELEMENTS,
    "system": SYSTEMS,
    "arrivals": ARRIVALS,
    "distribution": DISTRIBUTIONS,
}
SCALARS = ["string", "number", "boolean", "array"]
DIALECT = "http://json-schema.org/draft-07/schema#"
PARAMETERS = re.compile(
    r"^Parameters\n-+\n(.*?)(?=\n\n\S[^\n]*\n-+\n|\Z)", re.DOTALL | re.MULTILINE
)
ENTRY = re.compile(r"^(\w[\w, ]*)\n((?:(?:    .*)?(?:\n|\Z))+)", re.MULTILINE)

_UNIT = "|".join(f"{name}s?" if len(name) > 2 else name for name in units.SECONDS_PER_UNIT)
_AMOUNT = r"(\d+(\.\d*)?([eE][+-]?\d+)?|\.\d+)"
_CLOCK = r"([01]?\d|2[0-3]):[0-5]\d(:[0-5]\d)?|24:00(:00)?"


def _text(pattern: str, **rest: Any) -> Fragment:
    return {"type": "string", "pattern": f"^({pattern})$", **rest}


def _duration(**bounds: float) -> Fragment:
    words = _text(rf"\s*\+?(\s*{_AMOUNT}\s*({_UNIT})\s*)+", examples=["15min", "1h 30min"])
    return {"anyOf": [words, {"type": "number", "maximum": units.LONGEST_TIME, **bounds}]}


def _whole(least: int, most: float = units.MOST) -> Fragment:
    return {"type": "integer", "minimum": least, "maximum": most}


def _numbers(items: Fragment, **rest: Any) -> Fragment:
    return {"type": "array", "items": items, **rest}


_NAME: Fragment = {"type": "string", "minLength": 1}
_PROBABILITY: Fragment = {"type": "number", "minimum": 0, "maximum": 1}
_PRICE: Fragment = {"type": "number", "minimum": 0}
_CLOCK_TIME = _text(_CLOCK, examples=["22:00"])
_STEMS = ("".join(f"[{c.upper()}{c.lower()}]" for c in name[:3]) for name in units.DAY_NAMES)
_DAY = rf"\s*({'|'.join(_STEMS)})[a-zA-Z]*\s*"
_DAYS = _text(rf"\s*every day\s*|{_DAY}(-{_DAY})?(,{_DAY}(-{_DAY})?)*", examples=["Mon-Fri"])
_DATE = _text(r"\d{4}-?\d\d-?\d\d", examples=["2026-01-05"])
VALUES: dict[Callable[..., Any], Fragment] = {
    units.duration: _duration(minimum=0),
    units.positive_duration: _duration(exclusiveMinimum=0),
    units.optional_duration: _duration(exclusiveMinimum=0),
    units.length: _duration(exclusiveMinimum=0),
    units.poll_interval: _duration(minimum=0.001),
    units.optional_interval: _duration(minimum=0.001),
    units.switch: {"type": "boolean"},
    units.count: _whole(1),
    units.optional_count: _whole(1),
    units.servers: _whole(1, units.MOST_SERVERS),
    units.instances: _whole(1, units.MOST_INSTANCES),
    units.count_or_unlimited: {
        "anyOf": [_whole(1, units.MOST_SERVERS), {"const": units.UNLIMITED}]
    },
    units.yes_or_no: {"type": "boolean"},
    outage_start: {
        "anyOf": [
            _text(rf"\d{{4}}-\d\d-\d\d.*|{_CLOCK}|\s*(\S+\s+){{4}}\S+\s*"),
            _duration(minimum=0),
        ]
    },
    units.probability: _PROBABILITY,
    units.chance_below_one: {"type": "number", "minimum": 0, "exclusiveMaximum": 1},
    units.operations: _PRICE,
    units.text: _NAME,
    loops.optional_name: _NAME,
    loops.copies: _whole(1, loops.MOST_COPIES),
    loops.factor: {"type": "number", "minimum": 1},
    loops.chances_of_counts: {
        "anyOf": [
            _whole(0, loops.MOST_COPIES),
            {"type": "object", "minProperties": 1, "additionalProperties": _PROBABILITY},
        ]
    },
    units.any_text: {"type": "string"},
    units.texts: _numbers({"type": "string"}),
    units.rate: _text(r"\s*[0-9.eE+_-]+\s*/\s*[a-zA-Z]+\s*", examples=["300/h", "10000/day"]),
    units.calendar_date: _DATE,
    units.optional_clock_time: _CLOCK_TIME,
    units.window: _numbers(_CLOCK_TIME, minItems=2, maxItems=2, examples=[["08:00", "20:00"]]),
    units.days_of_week: _DAYS,
    calendar.clock_or_cron: _text(rf"{_CLOCK}|\s*(\S+\s+){{4}}\S+\s*", examples=["22:00"]),
    calendar.holiday_calendar: _text(
        r"[A-Z]{2}(-[A-Z0-9]+)?|[A-Z0-9]{2,4}", examples=["DE", "DE-BY", "FED"]
    ),
    calendar.zone_name: {"type": "string", "examples": ["Europe/Berlin"]},
    rate_limit: _text(
        r"\s*\d{1,12}\s*((per|/)|refilled)\s*\S.*", examples=["100 per 60 s", "3000 refilled 500/s"]
    ),
}  # what a reader of a value accepts
OF_KEYS: dict[str, Fragment] = {
    "start": {"anyOf": [VALUES[calendar.clock_or_cron], _numbers(_CLOCK_TIME, minItems=1)]},
    "cut_off": {"anyOf": [_CLOCK_TIME, _numbers(_CLOCK_TIME, minItems=1)]},
    "factor": {"type": "number", "minimum": 1},
    "error": {"type": "number", "minimum": 0, "maximum": 5},
    "volume": {"type": "number", "exclusiveMinimum": 0},
    "slows_down": {"type": "number", "minimum": 0, "maximum": 1000},
    "retries": _numbers(_duration(minimum=0)),
    "every": _duration(minimum=units.MINUTE),
    "parts": _numbers({"enum": list(PARTS)}, minItems=1),
    "values": _numbers(_PRICE, minItems=1),
    "times": _numbers(_PRICE, minItems=1),
    "completions": _numbers({"type": "number"}, minItems=1),
    "rates": {
        "anyOf": [
            _numbers(_PRICE, minItems=24, maxItems=24),
            _numbers(_numbers(_PRICE, minItems=24, maxItems=24), minItems=7, maxItems=7),
        ]
    },
    "until": _text(rf"{_CLOCK}|\s*(\S+\s+){{4}}\S+\s*", examples=["17:00"]),
    "when": {"type": "object", "additionalProperties": {"type": SCALARS}},
    **dict.fromkeys(("check", "request", "transition", "worker_hour", "late_minute"), _PRICE),
    **dict.fromkeys(("transitions_per_check", "transitions_per_call"), _whole(0)),
}  # what a key holds whose reader is private to its class


def file_keys(with_unit: bool = False) -> frozenset[str]:
    """Return all keys, also of strategies, or only those whose values are durations or rates."""
    classes: list[type[Any]] = [Scenario, *STRATEGIES.values(), *(cls for _, cls in _classes())]
    fields = [field for cls in classes for field in attrs.fields(cls)]
    timed = (*DURATION_READERS, units.poll_interval, *DISTRIBUTION_READERS, units.rate)
    return frozenset(one.alias for one in fields if not with_unit or reader_of(one) in timed)


def json_schema() -> Fragment:
    """Return a JSON Schema (draft 7) of scenario files."""
    definitions = {cls.__name__: _table_of(cls, kind) for kind, cls in _classes()}
    for name, kinds in KINDS.items():
        definitions[name] = _by_kind(kinds)
    root = _table_of(Scenario)
    return {"$schema": DIALECT, "title": "asyncsim scenario", **root, "definitions": definitions}


def _classes() -> Iterator[tuple[str, type[Any]]]:
    """Yield every class that has a table in a file, with the word of its kind."""
    for what in (*OBJECTS.values(), *ARRAYS.values(), DISTRIBUTIONS):
        if isinstance(what, Mapping):
            yield from what.items()
        else:
            yield "", what


def _table_of(cls: type[Any], kind: str = "") -> Fragment:
    """Return the schema of the table of a class."""
    word = _word_of(cls)
    fields = attrs.fields(cls)
    meanings = meanings_of(cls)
    properties = {word: {"const": kind}} if kind else {}
    for field in fields:
        found = dict(_value_of(cls, field))
        default = default_of(field)
        if default is not None:
            found["default"] = default
        properties[field.alias] = {"description": meanings.get(field.alias, ""), **found}
    required = [field.alias for field in fields if field.default is attrs.NOTHING]
    return {
        "type": "object",
        "description": inspect.cleandoc(cls.__doc__ or "").partition("\n\n")[0],
        "properties": properties,
        "required": [word, *required] if kind else required,
        "additionalProperties": False,
    }


def _value_of(cls: type[Any], field: attrs.Attribute[Any]) -> Fragment:
    """Return the schema of the value of a key."""
    key, reader = field.alias, reader_of(field)
    if key in OBJECTS:
        return _one_of(OBJECTS[key])
    if reader in DISTRIBUTION_READERS:
        return _if_else("object", _one_of(DISTRIBUTIONS), VALUES[units.duration])
    if key == "systems" and cls is Scenario:
        return {"type": "object", "additionalProperties": _one_of(SYSTEMS)}
    if cls in BRANCHED and key == "branches":
        steps = {"steps": {"type": "array", "items": _one_of(loops.ELEMENTS)}}
        return _numbers({"type": "object", "properties": steps, "additionalProperties": False})
    if key in ARRAYS:
        array = {"type": "array", "items": _one_of(ARRAYS[key])}
        words = {"enum": ["fail", "continue"]}
        either = key in PATH_KEYS and key != "on_accepted"
        return _if_else("array", array, words) if either else array
    if reader in VALUES:
        return VALUES[reader]
    return OF_KEYS[key] if key in OF_KEYS else {"enum": _words_of(reader)}


def _one_of(what: type[Any] | Mapping[str, type[Any]]) -> Fragment:
    """Return a reference to the schema of a class, or of one of several kinds."""
    if isinstance(what, Mapping):
        return {"$ref": f"#/definitions/{next(name for name in KINDS if KINDS[name] is what)}"}
    return {"$ref": f"#/definitions/{what.__name__}"}


def _by_kind(kinds: Mapping[str, type[Any]]) -> Fragment:
    """Return the schema of a table of the class that its kind names; errors keep their path."""
    word = _word_of(next(iter(kinds.values())))
    cases = [
        {
            "if": {"properties": {word: {"const": kind}}, "required": [word]},
            "then": {"$ref": f"#/definitions/{cls.__name__}"},
        }
        for kind, cls in kinds.items()
    ]
    words = {word: {"enum": list(kinds)}}
    return {"type": "object", "properties": words, "required": [word], "allOf": cases}


def _word_of(cls: type[Any]) -> str:
    """Return the key that names the kind of a class."""
    return "law" if issubclass(cls, Duration) else "kind"


def _if_else(kind: str, one: Fragment, other: Fragment) -> Fragment:
    """Return a schema that depends on the type of the value; errors keep their own path."""
    return {"if": {"type": kind}, "then": one, "else": other}


def _words_of(reader: Any) -> list[str]:
    """Return the words that a reader accepts, as its error lists them."""
    try:
        reader(object())
    except units.InvalidValue as problem:
        return re.findall(r"'([^']*)'", str(problem))
    raise LookupError(f"{reader} accepts everything")


def meanings_of(cls: type) -> dict[str, str]:
    """Return the meaning of each parameter of a class, from its docstring or an ancestor's."""
    found: dict[str, str] = {}
    for one in reversed(cls.__mro__):
        section = PARAMETERS.search(inspect.cleandoc(one.__doc__ or ""))
        for names, text in ENTRY.findall(section[1] if section else ""):
            found |= dict.fromkeys(names.split(", "), in_one_line(text))
    return found


def in_one_line(text: str) -> str:
    """Return a text of a docstring as one line, with one kind of backticks."""
    return re.sub(r"`{1,2}(?:~?asyncsim\.)?([^`]+)`{1,2}", r"`\1`", " ".join(text.split()))


def default_of(field: attrs.Attribute[Any]) -> Any:
    """Return the default of a key as a file spells it; None for none, and for whole tables."""
    if field.default is attrs.NOTHING or isinstance(field.default, attrs.Factory):  # type: ignore[arg-type]
        return None
    value = file_value(field.default, field)
    return None if isinstance(value, Mapping) else value
