"""Scenario files: TOML in, TOML out. The classes define the keys and check their values."""

from __future__ import annotations

import re
import textwrap
import tomllib
from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date
from itertools import accumulate
from operator import itemgetter
from pathlib import Path
from typing import Any, TypeVar, cast, overload

import attrs
import tomli_w

from asyncsim.errors import ScenarioError
from asyncsim.model import loops, process, units
from asyncsim.model.arrivals import ARRIVALS, Arrivals
from asyncsim.model.distributions import DISTRIBUTIONS, Duration, Fixed, as_distribution
from asyncsim.model.examples import SCENARIO, file_read_error, readable_file
from asyncsim.model.mixed_strategies import Strategies
from asyncsim.model.outages import Outage, outage_length
from asyncsim.model.senders import Sender, known_name
from asyncsim.model.server import (
    CostModel,
    FinishPolicy,
    RateLimit,
    SharedStore,
    WorkflowServer,
)
from asyncsim.model.strategies import STRATEGIES, Strategy
from asyncsim.model.systems import SYSTEMS, ExternalSystem
from asyncsim.model.units import Rate, nearest
from asyncsim.model.validation import argument, choice, reader_of, scenario_error, shown

T = TypeVar("T")
Kinds = Mapping[str, type[Any]]
ALL_KINDS = (loops.ELEMENTS, SYSTEMS, ARRIVALS, STRATEGIES)
KIND_OF: dict[type, str] = {cls: kind for table in ALL_KINDS for kind, cls in table.items()}
OF_SOME_KIND = (process.Element, ExternalSystem, Arrivals)
OBJECTS: dict[str, type[Any] | Kinds] = {  # what the table under a key holds
    "process": process.Process,
    "arrivals": ARRIVALS,
    "server": WorkflowServer,
    "policy": FinishPolicy,
    "store": SharedStore,
    "costs": CostModel,
    "response": process.Response,
    "step": loops.ELEMENTS,
}
PATH_KEYS = ("on_accepted", "on_done", "on_rejected", "on_timeout")
ARRAYS: dict[str, type[Any] | Kinds] = {  # what the tables of an array under a key hold
    "steps": loops.ELEMENTS,
    "branches": process.Branch,
    "systems": SYSTEMS,
    "outages": Outage,
    **dict.fromkeys(PATH_KEYS, loops.ELEMENTS),
}
DURATION_READERS = (
    *(units.duration, units.positive_duration, units.length),
    *(units.optional_duration, units.optional_interval),
)
DISTRIBUTION_READERS = (as_distribution, outage_length)
BRANCHED = (process.Parallel, loops.FirstOf, loops.Quorum)  # branches are lists of steps
WIDTH = 100
MOST_CHARACTERS = 50_000_000  # enough for a log of a million requests
MOST_PARTS = (
    3 * process.MOST_NESTED
)  # of a key `a.b.c`, and levels of arrays: two for each of steps
_NUMBERS = re.compile(  # an array of numbers as tomli_w writes it, one to a line
    r"^(?P<indent> *)(?P<key>[\w-]+ = )?\[\n(?P<numbers>(?: *[-+.\de]+,\n)+) *\]", re.MULTILINE
)
_NO_STRUCTURE = re.compile(  # strings and comments of TOML
    r'"""(?:[^"\\]|\\.|"(?!""))*+"{3,5}'
    r"|'''(?:[^']|'(?!''))*+'{3,5}"
    r'|"(?:[^"\\\n]|\\.)*+"'
    r"|'[^'\n]*+'|#[^\n]*+",
    re.DOTALL,
)
_BRACKET = re.compile(r"[][{}]")
_END_OF_VALUE = re.compile(r"[],}\n]")
BETWEEN = " \t\r\n,"
Keys = tuple[str | int, ...]
_DOTTED = re.compile(rf"(?<![\w-])(?:[\w-]++[ \t]*+\.[ \t]*+){{{MOST_PARTS}}}")
_NO_BRACKETS = re.compile(r"[^][{}]+")


# --- reading --------------------------------------------------------------------------------------


@attrs.frozen
class Tables:
    """A table of named tables, each of which describes an object of a class or a kind."""

    of: type[Any] | Kinds


@overload
def load(path: str | Path, cls: type[T]) -> T: ...
@overload
def load(path: str | Path, cls: Tables) -> dict[str, Any]: ...
def load(path: str | Path, cls: type[Any] | Tables) -> Any:
    """Read a scenario, or several objects, from a TOML file; see `Scenario.load`."""
    place = readable_file(path, SCENARIO)
    try:
        with place.open(encoding="utf-8-sig") as file:
            text = file.read(MOST_CHARACTERS + 1)  # an endless device ends here, too
    except OSError as error:
        raise file_read_error(path, error, SCENARIO) from None
    except UnicodeDecodeError as error:
        raise ScenarioError(f"{path}: is not UTF-8 text (byte {error.start})") from None
    return loads(text, cls, str(path))


@overload
def loads(text: str, cls: type[T], name: str) -> T: ...
@overload
def loads(text: str, cls: Tables, name: str) -> dict[str, Any]: ...
def loads(text: str, cls: type[Any] | Tables, name: str) -> Any:
    """Read a scenario, or several objects, from the text of a file, which messages call `name`."""
    try:
        data = tomllib.loads(_bounded(text, name))
    except (ValueError, RecursionError) as error:  # ValueError also for endless whole numbers
        log = Path(name).suffix.lower() in (".csv", ".xes")
        hint = "; a log? fit makes a scenario from it (asyncsim fit)" if log else ""
        raise ScenarioError(f"{name}: {_invalid_line(str(error), text)}{hint}") from None
    return _read(cls, data, _Place(name), text)


def _invalid_line(problem: str, text: str) -> str:
    """Return the line that a TOML parser refuses, with a hint or the parser's words."""
    found = re.search(r" \(at (?:line (\d+), column \d+|end of document)\)$", problem)
    lines = text.rstrip().split("\n")
    number = int(found[1] or len(lines)) if found else 0
    if not 0 < number <= len(lines):
        return f"is not valid TOML: {problem}"
    line = lines[number - 1].strip()[:WIDTH]
    if line.startswith("[[") and problem.startswith("Cannot"):
        return f"line {number} needs the double brackets of {line} at all tables of this name"
    return f"line {number} is not valid TOML: {line}{_toml_hint(line) or f' ({problem})'}"


def _toml_hint(line: str) -> str:
    """Return the hint for a line whose value TOML does not know, such as ``timeout = 5d``."""
    pair = re.fullmatch(r"([\w.-]+)\s*([=:])\s*(.*?)\s*(?:#[^\"']*)?", line)
    if not pair:
        return ""
    key, sign, value = pair.groups()
    if sign == ":":
        return f"; did you mean: {key} = {value}"
    if not value:
        return f"; give {key} a value, or begin the line with '#'"
    if value.lower() in ("none", "null"):
        return f"; leave {key} out"
    if value[0] in "\"'" and value.count(value[0]) == 1:
        return "; the text lacks the second quote"
    if re.search("[\u201c\u201d\u201e\u2018\u2019]", value):
        return '; write straight quotes (")'
    if value[0] in "[{":
        return '; put texts and values with units in quotes, such as "5min"'
    right = value.lower() if value.lower() in ("true", "false") else units.with_point(value)
    if right != value:
        return f"; did you mean {right}?"
    plain = (
        f'; put it in quotes: {key} = "{value}"' if "'" not in value and '"' not in value else ""
    )
    return units.share_hint(value) or plain


def _bounded(text: str, name: str) -> str:
    """Return the text of a file, checked: it can be parsed in time linear in its length."""
    if len(text) > MOST_CHARACTERS:
        raise ScenarioError(f"{name}: must have {MOST_CHARACTERS:,} characters at most")
    plain = _NO_STRUCTURE.sub("_", text)
    if _DOTTED.search(plain):
        raise ScenarioError(f"{name}: a key must have {MOST_PARTS} dotted parts at most")
    depths = accumulate(1 if sign in "[{" else -1 for sign in _NO_BRACKETS.sub("", plain))
    if max(depths, default=0) > MOST_PARTS:
        raise ScenarioError(f"{name}: arrays must not be nested deeper than {MOST_PARTS}")
    return text


def strategy_from(table: object, name: str) -> Strategy:
    """Read a strategy from a table of a file, which messages call `name`."""
    if not isinstance(table, Mapping) or not set(table) & {"of", "others"} or "kind" in table:
        return cast(Strategy, _read(STRATEGIES, table, _Place(name).inside("strategy"), ""))
    of = {one: strategy_from(part, name) for one, part in dict(table.get("of", {})).items()}
    return Strategies(
        of, others=strategy_from(table["others"], name) if "others" in table else None
    )


@attrs.frozen
class _Place:
    """A place in a file, and the mistakes that were found in all of it."""

    file: str
    path: Keys = ()
    mistakes: list[tuple[Keys, str]] = attrs.field(factory=list)

    def inside(self, key: str | int) -> _Place:
        return attrs.evolve(self, path=(*self.path, key))

    @property
    def key(self) -> str:
        """The place in words, such as ``process.steps[2]``."""
        steps = (f"[{one + 1}]" if isinstance(one, int) else f".{one}" for one in self.path)
        return "".join(steps).removeprefix(".")

    def note(self, problem: object, *key: str) -> object:
        """Note a mistake, perhaps one that a key makes; return what stands for the value."""
        place = (*self.path, *key)
        self.mistakes.append((place, f"{self.key + ': ' if self.key else ''}{problem}"))
        return FAULTY

    def is_a(self, value: object, kind: type, words: str) -> bool:
        if not isinstance(value, kind):
            if isinstance(value, dict | list):  # of the other kind of header
                header = ".".join(part for part in self.path if isinstance(part, str))
                words += f", such as {f'[[{header}]]' if kind is list else f'[{header}]'}"
            self.note(f"must be {words}, got {shown(value)}")
        return isinstance(value, kind)


FAULTY = object()  # stands for a value with mistakes


def _read(what: Any, data: object, place: _Place, text: str) -> Any:
    """Return what a file describes; a `ScenarioError` has all its mistakes with their lines."""
    several = isinstance(what, Tables)
    found = _make_each(what.of, data, place) if several else _make(what, data, place)
    if not place.mistakes:
        return found
    lines = lines_of(text) if text else {}
    mistakes = []
    for path, mistake in place.mistakes:
        known = (lines[path[:k]] for k in range(len(path), 0, -1) if path[:k] in lines)
        line = next(known, 0) or _line_of_value(mistake, text)
        mistakes.append((line, f"line {line}: {mistake}" if line else mistake))
    texts = [mistake for _, mistake in sorted(mistakes, key=itemgetter(0))]
    if len(texts) == 1:
        raise ScenarioError(f"{place.file}: {texts[0]}")
    raise ScenarioError("\n  ".join([f"{place.file}: {len(texts)} mistakes", *texts]))


def _line_of_value(mistake: str, text: str) -> int:
    """Return the first line that gives a key the value that a message ends with; 0 for none."""
    value = re.search(r"got '([^']*)'", mistake)
    written = rf"^.*=\s*[\"']{re.escape(value[1])}[\"']" if value else r"(?!)"
    found = re.search(written, text, re.MULTILINE)
    return text.count("\n", 0, found.start()) + 1 if found else 0


def _make_each(what: type[Any] | Kinds, data: object, place: _Place) -> Any:
    """Return objects by name, of a table of tables."""
    if not place.is_a(data, dict, "a table"):
        return FAULTY
    tables: dict[str, Any] = data  # type: ignore[assignment]
    found = {name: _make(what, table, place.inside(name)) for name, table in tables.items()}
    return FAULTY if FAULTY in found.values() else found


def _make(what: type[Any] | Kinds, data: object, place: _Place) -> Any:
    """Return an object of an attrs class, or of the class that the key ``kind`` names."""
    if not place.is_a(data, dict, "a table"):
        return FAULTY
    table: dict[str, Any] = dict(data)  # type: ignore[call-overload]
    cls: Any = what
    if isinstance(what, Mapping):
        key = "law" if what is DISTRIBUTIONS else "kind"
        try:
            if key not in table:
                return place.note(f"lacks the key {key!r}: one of {', '.join(map(repr, what))}")
            cls = what[choice(key, table.pop(key), what)]
        except ScenarioError as error:
            return place.note(error, key)
    keys = {field.alias: field for field in attrs.fields(cls)}
    values, before = {}, len(place.mistakes)
    for key, value in table.items():
        if key in keys:
            values[key] = _value_of(cls, key, value, place.inside(key))
        else:
            place.note(f"{cls.__name__} has no key {shown(key)}{nearest(key, keys)}", key)
    misspelt = {units.meant(key, keys) for key in table if key not in keys}
    for key, field in keys.items():
        if field.default is attrs.NOTHING and key not in table and key not in misspelt:
            place.note(f"{cls.__name__} lacks the key {key!r}")
    if len(place.mistakes) == before:
        try:
            return cls(**values)
        except ScenarioError as error:
            problem = str(error)
    for key, value in values.items():
        _check(cls, keys[key], value, place)
    return place.note(problem) if len(place.mistakes) == before else FAULTY


def _check(cls: type[Any], field: attrs.Attribute[Any], value: Any, place: _Place) -> None:
    """Note the mistake in the value of one key."""
    if value is FAULTY or (reader := reader_of(field)) is None:
        return
    try:
        argument(f"{cls.__name__}.{field.alias}", value, reader)
    except ScenarioError as error:
        place.note(error, str(field.alias))


def _value_of(cls: type[Any], key: str, value: Any, place: _Place) -> Any:
    """Return the value of a key, with the tables in it made into objects."""
    field = attrs.fields_dict(cls).get(key)
    if field and reader_of(field) is units.rate and isinstance(value, int | float):
        return str(value)  # which is refused: a file says per what
    if key in OBJECTS:
        return _make(OBJECTS[key], value, place)
    if field and reader_of(field) in DISTRIBUTION_READERS and isinstance(value, dict):
        return _make(DISTRIBUTIONS, value, place)
    if key == "systems" and not issubclass(cls, ExternalSystem):
        return _make_each(SYSTEMS, value, place)
    if key not in ARRAYS or (key in PATH_KEYS and not isinstance(value, list)):
        return value
    if not place.is_a(value, list, "an array"):
        return FAULTY
    what = None if cls in BRANCHED else ARRAYS[key]
    parts = [
        _branch(part, place.inside(k)) if what is None else _make(what, part, place.inside(k))
        for k, part in enumerate(value)
    ]
    return FAULTY if FAULTY in parts else parts


def _branch(data: object, place: _Place) -> Any:
    """Return the steps of a branch of `Parallel` or of a race."""
    if not place.is_a(data, dict, "a table"):
        return FAULTY
    table: dict[str, Any] = data  # type: ignore[assignment]
    before = len(place.mistakes)
    for key in table.keys() - {"steps"}:
        hint = nearest(key, ["steps"])
        place.note(f"a parallel branch has no key {shown(key)}{hint}", key)
    found = _value_of(process.Branch, "steps", table.get("steps", []), place.inside("steps"))
    return found if len(place.mistakes) == before else FAULTY


def lines_of(text: str) -> dict[Keys, int]:
    """Return the line of each table and key of a valid TOML file, those on one line included."""
    # A word stands for a string and space for a comment, of the same length
    plain = _NO_STRUCTURE.sub(
        lambda found: (" " if found[0][0] == "#" else "_") * len(found[0]), text
    )
    ends = [found.start() for found in re.finditer("\n", text)]
    starts: dict[Keys, int] = {}
    numbers: Counter[Keys] = Counter()
    table, at = cast(Keys, ()), _next(plain, 0)
    while at < len(plain):
        if plain[at] != "[":
            at = _next(plain, _pair(text, plain, at, table, starts))
            continue
        is_array, end = plain.startswith("[[", at), plain.index("]", at)
        table = _numbered(_names(text[at + 1 + is_array : end]), numbers)
        if is_array:
            table = (*table, numbers[table])
            numbers[table[:-1]] += 1
        for k in range(1, len(table) + 1):
            starts.setdefault(table[:k], at)
        at = _next(plain, end + 1 + is_array)
    return {path: bisect_left(ends, start) + 1 for path, start in starts.items()}


def _next(plain: str, at: int, skipped: str = " \t\r\n") -> int:
    """Return the position of the next character that is not skipped."""
    while at < len(plain) and plain[at] in skipped:
        at += 1
    return at


def _pair(text: str, plain: str, at: int, table: Keys, starts: dict[Keys, int]) -> int:
    """Note where a key, and what is in its value, begins; return the end."""
    equals = plain.index("=", at)
    path = (*table, *_names(text[at:equals]))
    starts.setdefault(path, at)
    return _inside(text, plain, _next(plain, equals + 1), path, starts)


def _inside(text: str, plain: str, at: int, path: Keys, starts: dict[Keys, int]) -> int:
    """Note where keys and tables in a value begin; return its end."""
    if plain[at] not in "[{":
        end = _END_OF_VALUE.search(plain, at)
        return end.start() if end else len(plain)
    is_array, number = plain[at] == "[", 0
    at = _next(plain, at + 1, BETWEEN)
    while plain[at] not in "]}":
        if not is_array:
            at = _pair(text, plain, at, path, starts)
        elif plain[at] in "[{":
            starts.setdefault((*path, number), at)
            at, number = _inside(text, plain, at, (*path, number), starts), number + 1
        else:  # numbers and words, of which there may be a million
            begin = cast(re.Match[str], _BRACKET.search(plain, at)).start()
            at, number = begin, number + plain.count(",", at, begin)
        at = _next(plain, at, BETWEEN)
    return at + 1


def _names(dotted: str) -> tuple[str, ...]:
    """Return the parts of a dotted key."""
    found, names = cast(Any, tomllib.loads(f"{dotted} = 0")), []
    while found:
        names += list(found)
        found = found[names[-1]]
    return tuple(names)


def _numbered(names: tuple[str, ...], numbers: Mapping[Keys, int]) -> Keys:
    """Return the path of a table: within an array of tables it is in the last one so far."""
    path: Keys = ()
    for k, name in enumerate(names):
        path = (*path, name)
        if k < len(names) - 1 and path in numbers:
            path = (*path, numbers[path] - 1)
    return path


# --- writing --------------------------------------------------------------------------------------


def save(scenario: object, path: str | Path) -> None:
    """Write a scenario to a TOML file; see `Scenario.save`."""
    place = scenario_file(path)
    text = _bounded(dumps(scenario), str(path))
    try:
        place.write_text(text, encoding="utf-8", newline="\n")
    except OSError as error:
        raise ScenarioError(f"{path}: cannot be written ({error.strerror})") from None


def scenario_file(path: str | Path, called: str = "path") -> Path:
    """Return the path of a scenario to write, checked: its suffix is ``.toml`` or empty."""
    place = argument(called, path, units.file_name)
    if place.suffix.lower() not in ("", ".toml"):
        raise scenario_error(called, "must end in .toml", str(path))
    return place


def dumps(scenario: object) -> str:
    """Return the text of a scenario's file."""
    return _NUMBERS.sub(_in_lines, tomli_w.dumps(table_of(scenario)))


def _in_lines(array: re.Match[str]) -> str:
    """Return an array of numbers with many of them in a line; a week of rates is 168."""
    indent, numbers = array["indent"], " ".join(array["numbers"].split()).removesuffix(",")
    start, inner = indent + (array["key"] or ""), indent + "    "
    if len(text := f"{start}[{numbers}]") <= WIDTH:
        return text
    lines = textwrap.fill(numbers, WIDTH, initial_indent=inner, subsequent_indent=inner)
    return f"{start}[\n{lines},\n{indent}]"


def strategy_table(strategy: Strategy) -> dict[str, Any]:
    """Return a strategy as a table; `strategy_from` returns an equal one."""
    if isinstance(strategy, Strategies):
        parts = [*strategy.of.values(), *([strategy.others] if strategy.others else [])]
        assert all(strategy_table(part) for part in parts)
        return table_of(strategy)
    if type(strategy) not in STRATEGIES.values():
        name = type(strategy).__name__
        raise ScenarioError(f"{name} is a strategy of your own: no file holds it")
    return table_of(strategy)


def table_of(obj: Any) -> dict[str, Any]:
    """Return an attrs object as a table, without the values that equal their defaults."""
    if isinstance(obj, OF_SOME_KIND) and type(obj) not in KIND_OF:
        raise ScenarioError(f"{type(obj).__name__} is a class of your own: no file can hold it")
    table: dict[str, Any] = {"kind": KIND_OF[type(obj)]} if type(obj) in KIND_OF else {}
    for field in attrs.fields(type(obj)):
        value = getattr(obj, field.name)
        if value != _default(field):
            table[field.alias] = units.UNLIMITED if value is None else file_value(value, field)
    if isinstance(obj, BRANCHED):
        table["branches"] = [{"steps": steps} for steps in table["branches"]]
    return table


def _default(field: attrs.Attribute[Any]) -> Any:
    default: Any = field.default
    if isinstance(default, attrs.Factory):  # type: ignore[arg-type]
        default = default.factory()
    reader = reader_of(field)
    return reader(default) if reader and default is not attrs.NOTHING else default


def file_value(value: Any, field: attrs.Attribute[Any] | None = None) -> Any:
    """Return a value, such as that of a field, as a file spells it."""
    if isinstance(value, Duration):
        if type(value) not in DISTRIBUTIONS.values():
            name = type(value).__name__
            raise ScenarioError(f"{name} is a distribution of your own: no file can hold it")
        if isinstance(value, Fixed):
            return units.format_duration(value.value)
        return {"law": value.kind} | table_of(value)
    if isinstance(value, float) and field and reader_of(field) in DURATION_READERS:
        return units.format_duration(value)
    if isinstance(value, Sender) and (known := known_name(value)):
        return known
    if isinstance(value, (Rate, date, RateLimit)):
        return str(value)
    if isinstance(value, Mapping):
        return {name: file_value(part) for name, part in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [file_value(part) for part in value]
    described = attrs.has(type(value)) or isinstance(value, OF_SOME_KIND)
    return table_of(value) if described else value


# --- labels ---------------------------------------------------------------------------------------


def told_apart(strategies: Sequence[Strategy]) -> tuple[str, ...]:
    """Return a label for each strategy; equal labels also show the parameters that differ."""
    labels = []
    for one in strategies:
        alike = [other for other in strategies if other.label == one.label]
        of_kind = [other for other in alike if type(other) is type(one)]
        words = [one.label, *([type(one).__name__] if len(of_kind) < len(alike) else [])]
        cls: type[Any] = type(one)
        for field in attrs.fields(cls) if attrs.has(cls) else ():
            value = getattr(one, field.name)
            if any(getattr(other, field.name) != value for other in of_kind):
                words.append(f"{field.alias.replace('_', ' ')} {_parameter(value, field)}")
        labels.append(", ".join(words))
    return tuple(labels)


def _parameter(value: Any, field: attrs.Attribute[Any]) -> str:
    """Return a parameter of a strategy for a label, exactly, in 60 characters at most."""
    try:
        is_time = reader_of(field) in (*DURATION_READERS, units.poll_interval)
        text = _time(value) if is_time and value is not None else _words(file_value(value, field))
    except ScenarioError:  # a custom distribution
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
