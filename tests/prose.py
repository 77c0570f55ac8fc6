"""Numbers in the prose of a notebook, and the markers that hold them against its results.

A marker is in the metadata of a Markdown cell, in the list ``numbers``, or in that of the notebook
if its phrase recurs; CONTRIBUTING.md has the format. Its ``text`` is a phrase of the cell, and
states an interval of values: `stated`.
"""

from __future__ import annotations

import json
import math
import re
from typing import NamedTuple

from nbformat import NotebookNode

COUNTED = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"),
    *("eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen"),
    *("eighteen", "nineteen", "twenty"),
)
WORDS = {word: float(k) for k, word in enumerate(COUNTED)}
WORDS |= {"thirty": 30, "forty": 40, "fifty": 50, "sixty": 60, "seventy": 70, "eighty": 80}
WORDS |= {"ninety": 90}
SCALES = {"hundred": 100.0, "thousand": 1000.0, "million": 1e6}
PARTS = {
    **{"half": 2, "halve": 2, "third": 3, "quarter": 4, "fifth": 5, "sixth": 6, "seventh": 7},
    **{"eighth": 8, "ninth": 9, "tenth": 10, "twentieth": 20, "hundredth": 100, "thousandth": 1000},
}
TIMES = {"twice": 2.0, "double": 2.0, "doubles": 2.0, "doubled": 2.0}
UNITS = {
    **{"ms": 0.001, "milliseconds": 0.001, "s": 1, "sec": 1, "second": 1, "seconds": 1},
    **{"min": 60, "minute": 60, "minutes": 60, "h": 3600, "hour": 3600, "hours": 3600},
    **{"day": 86400, "days": 86400, "weeks": 604800, "%": 0.01, "per cent": 0.01},
}
"""Seconds and shares: what a value is computed in."""
RELATIONS = {
    "less than|fewer than|at most|up to|not even|below|under|within": (-math.inf, 1.0),
    "more than|over|at least|above|beyond": (1.0, math.inf),
    "nearly|almost": (0.85, 1.0),
    "about|around|roughly|some|or so": (0.85, 1.15),
}
"""Bounds of the value in multiples of the number, by the words around it."""
SHARP = 0.1
"""Words are rounded as digits are, but never by more than this share of the number."""

DIGITS = r"(?<![\w.])\d[\d,]*(?:\.\d+)?(?::\d\d)*"
_plain = "|".join([*(word for word in WORDS if word != "one"), *SCALES, *TIMES])
_after_one = "in|per cent|and a half|request|process|" + "|".join(w for w in UNITS if len(w) > 3)
_parts = "|".join(part for part in PARTS if part not in ("half", "halve", "quarter"))
NUMBER = re.compile(
    rf"{DIGITS}|\b(?:(?:{_plain})s?|hal(?:f|ves?|ved)|quarters?|one(?= (?:{_after_one})\b)"
    rf"|(?:{_parts})s|(?<=\ba )(?:{_parts}))\b",
    re.IGNORECASE,
)
NOT_PROSE = re.compile(
    r"`[^`\n]*`|\$[^$\n]+\$|(?:\[\d\d [^\]\n]*)?\]\([^)\n]*\)"  # code, formulas, links
    r"|^#+ \d+\.|^\*\*\d+\.|\b0\d(?=\b|_)(?!:\d)|\bsections? \d(?:(?:,| to| and)+ \d)*",  # places
    re.MULTILINE,
)


class Marker(NamedTuple):
    """A phrase of a cell, and what it is held against.

    `value` is an expression; `within` a share of the number by which it may differ; `holds` an
    expression that must be true; `given` the reason why a number is not computed.
    """

    text: str
    value: str = ""
    within: float | None = None
    holds: str = ""
    given: str = ""


GIVEN = {
    "name": "part of a name, such as Camunda 7",
    "list": "a count of what the text itself lists",
    "idiom": "a phrase, such as sent twice",
    "question": "asked, not stated",
    "option": "a value that the reader tries or chooses",
    "story": "the made-up case of an exercise or an example",
    "definition": "what a term means, such as half the interval",
    "plan": "the time that a workshop plans for a part",
    "source": "quoted from a source",
    "outside the notebook": "a result that no cell of the notebook has",
}
"""Why a number is not computed."""


def markers(notebook: NotebookNode) -> list[Marker]:
    """Return the markers of the notebook and of its cells."""
    places = [notebook, *notebook.cells]
    return [Marker(**each) for place in places for each in place.metadata.get("numbers", [])]


def phrase(text: str) -> str:
    """Return a pattern that finds a phrase, also where a line ends within it."""
    return r"(?<![\w.,])" + r"\s+(?:> )?".join(map(re.escape, text.split())) + r"(?!\w)"


def misfits(notebook: NotebookNode) -> dict[int | str, list[str]]:
    """Return numbers without a marker, and markers without a text, by the place of the cell."""
    texts = {k: cell for k, cell in enumerate(notebook.cells) if cell.cell_type == "markdown"}
    common = [each["text"] for each in notebook.metadata.get("numbers", [])]
    found: dict[int | str, list[str]] = {k: _misfits(cell, common) for k, cell in texts.items()}
    found["notebook"] = [
        f"not in the text: {text}"
        for text in common
        if not any(re.search(phrase(text), cell.source) for cell in texts.values())
    ]
    return {place: problems for place, problems in found.items() if problems}


def _misfits(cell: NotebookNode, common: list[str]) -> list[str]:
    """Return the same for one cell; phrases of the whole notebook may be in it."""
    found, covered = [], set()
    own = [each["text"] for each in cell.metadata.get("numbers", [])]
    for text in (*own, *common):
        places = list(re.finditer(phrase(text), cell.source))
        covered |= {k for place in places for k in range(*place.span())}
        if not places and text in own:
            found.append(f"not in the text: {text}")
    prose = NOT_PROSE.sub(lambda part: " " * len(part[0]), cell.source)
    for number in NUMBER.finditer(prose):
        if number.start() not in covered:
            around = cell.source[max(number.start() - 30, 0) : number.end() + 30]
            found.append(f"no marker: {number[0]} in …{around}…".replace("\n", " "))
    return found


def _amount(words: list[str]) -> tuple[float, float] | None:
    """Take a number from the front of the words; return it and the unit of its last digit."""
    if not words:
        return None
    if words[0][0].isdigit():
        text = words.pop(0)
        if ":" in text:
            fields = [int(field) for field in text.split(":")]
            scale = (3600, 60, 1)[: len(fields)]
            return sum(a * b for a, b in zip(fields, scale, strict=True)), scale[-1]
        number, unit = float(text.replace(",", "")), 10.0 ** -len(text.partition(".")[2])
        if words and words[0] in SCALES:
            scale = SCALES[words.pop(0)]
            return number * scale, unit * scale
        return number, unit
    total = 0.0
    taken = False
    while words and (words[0] in WORDS or words[0].rstrip("s") in SCALES):
        word = words.pop(0)
        taken = True
        if word in WORDS:
            total += WORDS[word]
        else:
            scale = SCALES[word.rstrip("s")]
            total = (total or 1.0) * scale
    if words[:2] == ["and", "a"] and len(words) > 2 and (words[2].rstrip("s") in PARTS):
        part = PARTS[words[2].rstrip("s")]
        del words[:3]
        return total + 1 / part, 1 / part
    if words and (part := PARTS.get(words[0].rstrip("s"))):
        words.pop(0)
        return (total or 1.0) / part, 1 / part
    if words and words[0] in TIMES:
        return TIMES[words.pop(0)], 1.0
    return (total, 1.0) if taken else None


def stated(text: str, within: float | None = None) -> tuple[float, float]:
    """Return the least and the largest value for which a phrase is true.

    >>> stated("349 s"), stated("nearly five hundred"), stated("less than a minute")
    ((348.5, 349.5), (425.0, 500.0), (-inf, 60.0))
    >>> stated("half a minute"), stated("two in a hundred"), stated("22:00")
    ((27.0, 33.0), (0.018, 0.022), (79170.0, 79230.0))
    """
    lowered = text.lower().replace("per cent", "%").replace("halves", "half")
    words = re.findall(r"\d[\d,]*(?:\.\d+)?(?::\d\d)*|[a-z]+|%", lowered.replace("-", " "))
    relation = next(
        (bounds for word, bounds in RELATIONS.items() if re.search(rf"\b(?:{word})\b", lowered)),
        None,
    )
    digits = any(word[0].isdigit() for word in words)
    amount = None
    while words and (amount := _amount(words)) is None:
        word = words.pop(0)
        if word in ("a", "an", "the") and words and words[0] in UNITS:
            amount = (1.0, 1.0)
            break
    if amount is None:
        raise ValueError(f"not one number: {text!r}")
    number, unit = amount
    rest = words
    if unit >= 1 and words[:1] in (["a"], ["an"]):
        rest = []  # a rate, such as "eight a minute"
    elif base := _base(words):
        number, unit, digits, rest = number / base, unit / base, False, []
    else:
        rest = [word for word in words if word not in ("a", "an", "of")]
        if rest and rest[0] in UNITS:
            number, unit = number * UNITS[rest[0]], unit * UNITS[rest[0]]
    if NUMBER.search(" ".join(rest)):
        raise ValueError(f"not one number: {text!r}")
    if within is not None:
        return number * (1 - within), number * (1 + within)
    if relation is not None:
        return number * relation[0], number * relation[1]
    half = unit / 2 if digits else min(unit / 2, SHARP * number)
    return number - half, number + half


def _base(words: list[str]) -> float | None:
    """Return the whole of "two callbacks in a hundred": the number after "in", "of" or "out of"."""
    place = 0 if words[:1] in (["in"], ["of"], ["out"]) else 1
    if words[place : place + 1] not in (["in"], ["of"] * (1 - place), ["out"] * (1 - place)):
        return None
    rest = [word for word in words[place:] if word not in ("in", "of", "out", "a", "every")]
    found = _amount(rest)
    return found[0] if found and found[0] > 1 else None


def questions(found: list[Marker], notebook: str) -> str:
    """Return the code of a cell that evaluates the markers in a notebook's kernel, as `answers`.

    They may use what the notebook has, and `checkers`: the module of its exercises.
    """
    asked = [each.value or each.holds for each in found]
    return f"""
def _answer(expression):
    import numpy as np, pandas as pd, asyncsim as sim
    from asyncsim.exercises.course import nb{notebook} as checkers
    try:
        names = globals() | {{"np": np, "pd": pd, "sim": sim, "checkers": checkers}}
        value = eval(expression, names) if expression else 0
        value = value.item() if hasattr(value, "item") else value
        return value if isinstance(value, (str, bool)) else float(value)
    except Exception as error:
        return f"{{type(error).__name__}}: {{error}}"
answers = [_answer(each) for each in {json.dumps(asked)}]
"""


def false_ones(found: list[Marker], answers: list[float | str | bool]) -> list[str]:
    """Return the markers that do not hold."""
    wrong = []
    for marker, answer in zip(found, answers, strict=True):
        if marker.given:
            good = marker.given in GIVEN
        elif marker.holds:
            good = answer is True
        else:
            low, high = stated(marker.text, marker.within or None)
            if isinstance(answer, str) and re.fullmatch(DIGITS, answer):
                answer = sum(stated(answer)) / 2
            slack = 1e-9 * max(abs(low) if math.isfinite(low) else 0, abs(high))
            slack = slack if math.isfinite(slack) else 1e-9 * abs(low)
            good = not isinstance(answer, str) and low - slack <= answer <= high + slack
        if not good:
            wrong.append(f"{marker.text!r} is false: {marker.value or marker.holds} = {answer}")
    return wrong
