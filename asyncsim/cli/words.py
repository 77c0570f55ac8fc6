"""Strategies in words, as a command line has them."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import Any

import attrs

from asyncsim.errors import ScenarioError
from asyncsim.model.described import refuse, shown
from asyncsim.model.quantities import LONGEST_WORDS, nearest
from asyncsim.model.strategies import STRATEGIES
from asyncsim.model.waiting import Strategy

UNNAMED = {"callback with safety poll": "every"}
"""Which argument a word without a name is, where it is not the first."""
CONSTANTS = {"None": None, "True": True, "False": False}
STRATEGY_HELP = (
    "how waiting steps learn of completion, in words: 'callback', 'callback delay=50ms loss=0.02 "
    "retries=5s,5min', 'polling 15min anchor=clock', 'backoff 1s factor=2 cap=10min', "
    "'long polling 30s', 'callback with safety poll every=5min'"
)


def parse_strategy(words: str) -> Strategy:
    """Return the strategy that words describe, such as ``"polling 15min anchor=clock"``.

    The longest name that fits comes first, then the first argument if it has no name, then
    ``name=value``; lists are separated by commas.

    Raises
    ------
    ScenarioError
        Naming the word that is wrong and the nearest valid one.
    """
    if len(words) > LONGEST_WORDS:
        raise refuse("strategy", f"must have {LONGEST_WORDS:,} characters at most", words)
    names = sorted(STRATEGIES, key=len, reverse=True)
    name = next((n for n in names if words.strip() == n or words.strip().startswith(n + " ")), None)
    if name is None:
        known = ", ".join(repr(n) for n in STRATEGIES)
        first = words.split("=")[0].rsplit(" ", 1)[0] if "=" in words else words
        raise ScenarioError(
            f"strategy must begin with one of {known}, got {shown(words)}"
            f"{nearest(first, STRATEGIES)}"
        )
    cls = STRATEGIES[name]
    attributes = attrs.fields(cls)  # type: ignore[arg-type]
    fields = [field.alias for field in attributes]
    values: dict[str, Any] = {}
    unnamed = UNNAMED.get(name, fields[0])
    for k, word in enumerate(_tidy(words.strip()[len(name) :]).split()):
        key, _, value = word.rpartition("=")
        key = key or (unnamed if k == 0 else "")
        if key not in fields:
            raise ScenarioError(
                f"{cls.__name__} has no argument {shown(key or word)}"
                f"{nearest(key or word, fields)}; it has {', '.join(fields)}"
            )
        if key in values:
            raise ScenarioError(f"strategy {shown(words)} has {key!r} twice")
        values[key] = value.split(",") if key == "retries" else _value(value)
    for field in attributes:
        if field.default is attrs.NOTHING and field.alias not in values:
            raise ScenarioError(
                f"strategy {shown(words)} lacks {field.alias!r}, such as 'polling 15min'"
            )
    return cls(**values)


def _tidy(words: str) -> str:
    """Close the gaps in ``15 min``, ``anchor = clock`` and ``5s, 5min``."""
    words = re.sub(r"(?<=\d) +(?=[a-z]+\b(?!\s*=))", "", words)
    return re.sub(r"\s*([=,])\s*", r"\1", words)


def _value(word: str) -> Any:
    """Return the value that a word stands for, as Python reads it: none of them has brackets."""
    if word in CONSTANTS:
        return CONSTANTS[word]
    for kind in (int, float):
        with suppress(ValueError):
            return kind(word)
    quoted = len(word) > 1 and word[0] == word[-1] and word[0] in "'\""
    return word[1:-1] if quoted else word
