"""Mistakes that many exercises share: another kind of answer, another unit, another size.

Each gets one sentence, which names the mistake or asks a question and never has the right value.
"""

from __future__ import annotations

import contextlib
import math
import numbers
import re
import sys
from collections.abc import Callable, Iterator, Sized
from datetime import date, time, timedelta
from typing import Any

import numpy as np
import pandas as pd

from asyncsim.model.distributions import Duration
from asyncsim.model.scenario import Scenario
from asyncsim.model.strategies import Strategy
from asyncsim.model.units import InvalidValue, duration

CLOSE = 1.25  # factor from the right value; below it only the exercise's own mistakes are tried
FAR = 2.9  # the same for mistakes in the unit
WHICH = "which unit has each number you used?"
TEXTS = {
    r"\s*": "The text is empty.",
    r"[+-]?(\d+\.?\d*|\.\d+)": "That is a number in quotation marks, which make it a text.",
    r"[+-]?\d+,\d+\s*[a-z%]*": "Decimals are written with a point, not with a comma.",
    r".*[a-z],.+": "A list of names has each of them in its own quotation marks.",
    r"[+-]?\d+\.?\d*\s*%": "That is a percentage.",
    r"\d+:\d\d(:\d\d)?": "That is a time of day; the difference of two is a duration.",
    r"[\d.]+\s*[^\W\d]+": "That is a number with a word that is no unit of time.",
    r"[\d\s.()*/+-]+": "That is a formula in quotation marks; without them Python computes it.",
}  # by the form of a text
KINDS: dict[Any, str] = {
    type: "That is the class {name} itself; its arguments are missing: {name}(…).",
    (bool, np.bool_): "That answers a question of yes or no.",
    (timedelta, np.timedelta64): "That is a duration with a unit.",
    (date, time, np.datetime64): "That is a point in time; the difference of two is a duration.",
    pd.DataFrame: "That is a table of {count} rows: is one of its values meant?",
    (set, frozenset): "That is a set, which has no order.",
    Strategy: "That is a strategy ({name}).",
    Duration: "That is a distribution of times ({name}).",
    Scenario: "That is a scenario.",
    Sized: "That {name} has length {count}; a single answer has no {name} around it.",
    Callable: "That is the function {name} itself; brackets call it: {name}(…).",
}  # by the class of an answer
MIXED_UP = {
    60.0: "minutes and seconds, or hours and minutes,",
    3600.0: "hours and seconds",
    24.0: "days and hours",
    1000.0: "seconds and milliseconds",
}  # by the factor between the two units
TIMES = {"minutes": 60.0, "hours": 3600.0, "days": 86400.0, "milliseconds": 0.001}
OTHER_UNIT = {
    "s": (1 / 60, " (read as minutes, but plain numbers are seconds here)"),
    "share": (100.0, " (read as per cent, but the answer is a share from 0 to 1)"),
}  # the unit in which a mistake may have been entered: its factor, and a remark


def kind(answer: Any) -> str:
    """Return one sentence about what kind of answer was given."""
    if isinstance(answer, str):
        return _text(answer)
    name, count = getattr(answer, "__name__", type(answer).__name__), 1
    with contextlib.suppress(TypeError):  # no length
        count = len(answer)
    for kinds, sentence in KINDS.items():
        if isinstance(answer, kinds):
            return sentence.format(name=name, count=count)
    if isinstance(answer, numbers.Real):
        return _number(answer)
    return f"That is an object of the class {name}: is one of its values meant?"


def _text(answer: str) -> str:
    with contextlib.suppress(InvalidValue):
        duration(answer.strip().removeprefix("-"))
        negative = answer.strip().startswith("-")
        return f"That is a duration{', and a negative one' if negative else ' with a unit'}."
    forms = (why for form, why in TEXTS.items() if re.fullmatch(form, answer.strip()[:100]))
    return next(forms, "That is a text.")


def _number(answer: Any) -> str:
    if answer != answer:
        return "NaN is left where there is no value: is a row or a column empty?"
    if abs(answer) > sys.float_info.max:
        return "That is infinite: is something divided by zero?"
    negative = "That is negative: is a subtraction the wrong way round?"
    return negative if answer < 0 else "That is a number."


def by_ratio(unit: str) -> dict[float, str]:
    """Return mistakes by the factor by which they change the right value."""
    found = {
        2.0: "that is twice as much: perhaps you took a whole interval where half of it counts",
        0.5: "that is half as much: perhaps you halved something that counts in full",
        -1.0: "the size is right, the sign is not",
    }
    for factor, units in MIXED_UP.items():
        found[factor] = found[1 / factor] = f"perhaps only a unit is wrong: are {units} mixed up?"
    if unit == "s":
        for name, seconds in TIMES.items():
            found[1 / seconds] = f"that is the right value in {name}, but it is read as seconds"
    if unit == "share":
        found[100.0] = "that is the right value in per cent; the answer is a share from 0 to 1"
        found[0.01] = "that is a hundredth: the share was divided by 100 once too often"
    return found


def general(
    own: list[tuple[float, str]], value: float, expected: float, unit: str
) -> Iterator[list[tuple[float, str]]]:
    """Yield mistakes that the exercise does not list, if the value is far off."""
    factor = max(value / expected, expected / value) if value * expected > 0 else math.inf
    if factor >= CLOSE and expected:
        found = [(ratio * expected, why) for ratio, why in by_ratio(unit).items()]
        if unit == "share":
            found.append((1 - expected, "that is the share of all the others"))
        found.append((1 / expected, "that is the reciprocal: the division is the wrong way round"))
        yield found
    scale, remark = OTHER_UNIT.get(unit, (0.0, ""))
    if factor >= FAR and scale:
        yield [(wrong * scale, why + remark) for wrong, why in own if wrong]


def how_far(value: float, expected: float) -> str:
    """Return the direction, the rough size and a question: no number leads to the right value."""
    large = value > expected
    direction = f"too {'large' if large else 'small'}"
    if value * expected <= 0 and expected > 0:
        return "not even the sign is right" if value else "zero is too small: the value is positive"
    if value * expected <= 0:
        return f"that is {direction}: {WHICH}"
    factor = max(value / expected, expected / value)
    what = "counted that does not belong to it" if large else "left out"
    if factor < CLOSE:
        return f"that is close, but {direction}: is something rounded, or {what}?"
    if factor < FAR:
        return f"the order of magnitude is right, but that is {direction}: what is {what}?"
    bound = next(bound for bound in (1000, 100, 10, 2) if factor >= bound)
    return f"that is {direction} by a factor of more than {bound}: {WHICH}"
