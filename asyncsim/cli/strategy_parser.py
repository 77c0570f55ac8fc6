"""Waiting strategies in words, as the command line takes them: ``polling 15min anchor=clock``.

Several, each for some steps, have names: ``ledger: callback; others: polling 5min``.
"""

from __future__ import annotations

import re
from contextlib import suppress
from typing import Any

import attrs

from asyncsim.errors import ScenarioError
from asyncsim.model.mixed_strategies import OTHERS, Strategies
from asyncsim.model.schema import file_keys
from asyncsim.model.strategies import STRATEGIES, Strategy
from asyncsim.model.units import (
    LONGEST_WORDS,
    InvalidValue,
    duration,
    format_duration,
    nearest,
    per_cent,
)
from asyncsim.model.validation import no_argument, scenario_error, shown

UNNAMED = {"callback with safety poll": "every"}  # set by a word without a name, if not the first
LISTS = ("retries", "pauses", "at", "window")  # whose items are separated by commas
CONSTANTS = {"None": None, "True": True, "False": False, "true": True, "false": False}
OTHER_NAMES = (
    (r"(?:call ?back )?(?:(?:with|and|plus) )?(?:a )?sa\w+ ?poll\w*", "callback with safety poll"),
    (r"call ?back (?:with|and|plus)? ?(?:a )?poll\w*", "callback with safety poll"),
    (r"call ?backs?|web ?hooks?|push|notif\w+", "callback"),
    (r"long ?poll\w*", "long polling"),
    (r"(?:exponential )?back ?off", "backoff"),
    (r"(?:check|ask|pull|poll\w*)(?: every)?|every|(?=\d)", "polling"),
)  # what other people call a strategy, and its name here: only for hints
WITH_UNIT = file_keys(with_unit=True)
NAMED = re.compile(r":\s*[a-z]", re.IGNORECASE)  # a name and a strategy, not a clock time
FILLERS = {"a", "an", "at", "every", "for", "of", "with"}


def parse_strategy(words: str) -> Strategy:
    """Return the strategy that words describe, such as ``"polling 15min anchor=clock"``.

    >>> parse_strategy("ledger: callback; clerk: polling 5min").label
    'ledger: callback; clerk: polling 5 min'
    """
    if len(words) > LONGEST_WORDS:
        raise scenario_error("strategy", f"must have {LONGEST_WORDS:,} characters at most", words)
    if NAMED.search(words):
        return _by_name(words)
    try:
        return _parse(words)
    except ScenarioError as problem:
        if named := _with_colons(words):
            raise ScenarioError(f"{problem}; did you mean {named!r}?") from None
        if alone := _several(words):
            raise ScenarioError(f"{problem}; give each strategy alone: {alone}") from None
        if not (found := _meant(words)):
            raise
        text = str(problem).partition("; did you mean")[0]
        raise ScenarioError(f"{text}; did you mean {found!r}?") from None


def _by_name(words: str) -> Strategies:
    """Return the strategies of words such as ``"ledger: callback; others: polling 5min"``."""
    found: dict[str, Strategy] = {}
    for part in filter(str.strip, words.split(";")):
        name, colon, own = (text.strip() for text in part.partition(":"))
        if not (name and colon and own):
            right = "must be such as 'ledger: callback; clerk: polling 5min'"
            raise scenario_error("strategy", right, words)
        if name in found:
            raise ScenarioError(f"strategy {shown(words)} has {name!r} twice")
        try:
            found[name] = parse_strategy(own)
        except ScenarioError as problem:
            raise ScenarioError(f"{name}: {problem}") from None
    others = found.pop(OTHERS, None)
    return Strategies(found, others=others)


def _with_colons(words: str) -> str:
    """Return ``"ledger=callback; clerk=polling 5min"`` with colons, or an empty text."""
    named = re.sub(r"(^|;)\s*([^=:;]+?)\s*=\s*(?=[a-z])", r"\1 \2: ", words).strip()
    with suppress(ScenarioError):
        return named if named != words and _by_name(named) else ""
    return ""


def _several(words: str) -> str:
    """Return the options for words of several strategies: ``"callback, polling 5min"``."""
    parts = [part.strip() for part in re.split(r"[,;]|\bor\b|\bvs\b", words)]
    with suppress(ScenarioError):
        if len(parts) > 1 and all(map(_parse, parts)):
            return " ".join(f"--strategy {part!r}" for part in parts)
    return ""


def _meant(words: str) -> str:
    """Return a strategy in valid words that others may mean, or an empty text.

    >>> _meant("every 5 minutes"), _meant("Callback(delay = 50ms)"), _meant("sometimes")
    ('polling 5min', 'callback delay=50ms', '')
    """
    plain = re.sub(r"(?:(?<=\w)-|_(?![a-z_]*=)|[+(\s])+|\)$", " ", words.lower()).strip()
    for pattern, name in OTHER_NAMES:
        if begun := re.match(rf"(?:{pattern})(?=\s|\d|$)", plain):
            found = " ".join([name, *_arguments(name, plain[begun.end() :])])
            with suppress(ScenarioError):
                _parse(found)
                return found
            return "" if plain.startswith(name) else name
    return ""


def _arguments(name: str, words: str) -> list[str]:
    """Return the arguments of a strategy from words without ``=``, or with units in full."""
    fields = {field.alias for field in attrs.fields(STRATEGIES[name])}  # type: ignore[arg-type]
    found: list[str] = []
    for word in _tidy(words).split():
        if word not in FILLERS or word in fields:
            key, sign, value = word.rpartition("=")
            with suppress(InvalidValue):  # such as "5minutes", or "minute" in "every minute"
                seconds = duration(value if value[:1].isdigit() else f"1{value}")
                value = str(format_duration(seconds))
            if (share := per_cent(value)) is not None:
                value = f"{share:g}"
            word = f"{key}{sign}{value}"
            joins = bool(found) and found[-1] in fields
            found = [*found[:-1], f"{found[-1]}={word}"] if joins else [*found, word]
    return sorted(found, key=lambda word: "=" in word)  # the one without a name comes first


def _parse(words: str) -> Strategy:
    begun = [name for name in STRATEGIES if f"{words.strip()} ".startswith(f"{name} ")]
    if not begun:
        known = ", ".join(repr(n) for n in STRATEGIES)
        first = words.split("=")[0].rsplit(" ", 1)[0] if "=" in words else words
        raise ScenarioError(
            f"strategy must begin with one of {known}, got {shown(words)}"
            f"{nearest(first, STRATEGIES)}"
        )
    name = max(begun, key=len)
    cls = STRATEGIES[name]
    attributes = attrs.fields(cls)  # type: ignore[arg-type]
    fields = [field.alias for field in attributes]
    values: dict[str, Any] = {}
    unnamed = UNNAMED.get(name, fields[0])
    given = _tidy(words.strip()[len(name) :]).split()
    for k, word in enumerate(given):
        key, _, value = word.rpartition("=")
        key = key or (unnamed if k == 0 else "")
        if key not in fields:
            raise ScenarioError(no_argument(cls, key or word))
        if key in values:
            raise ScenarioError(f"strategy {shown(words)} has {key!r} twice")
        values[key] = value.split(",") if key in LISTS else value_of(key, value)
    for field in attributes:
        if field.default is attrs.NOTHING and field.alias not in values:
            example = shown(" ".join([name, "15min", *given]))
            raise ScenarioError(f"strategy {shown(words)} lacks {field.alias!r}, such as {example}")
    return cls(**values)


def _tidy(words: str) -> str:
    """Remove the spaces in ``15 min``, ``anchor = clock`` and ``5s, 5min``."""
    words = re.sub(r"(?<=\d) +(?=[a-z]+\b(?!\s*=))", "", words)
    return re.sub(r"\s*([=,])\s*", r"\1", words)


def value_of(key: str, word: str) -> Any:
    """Return the Python value of a key's word; a time or rate without a unit, to be refused."""
    found = python_value(word)
    plain = isinstance(found, int | float) and found and key.rpartition(".")[2] in WITH_UNIT
    return word if plain else found


def python_value(word: str) -> Any:
    """Return the Python value of a word: a constant, a number or a text."""
    if word in CONSTANTS:
        return CONSTANTS[word]
    for kind in (int, float):
        with suppress(ValueError):
            return kind(word)
    quoted = len(word) > 1 and word[0] == word[-1] and word[0] in "'\""
    return word[1:-1] if quoted else word
