"""What the fuzz has in common: hostile values, damage to tables, texts and bytes, and a guard.

The same cases are played on each run. With ``ASYNCSIM_THOROUGH=20`` they are 20 times as many: the
first of them are the usual ones, the others continue the series.
A case that fails is in the message, to be pasted; so is one that takes more than `PATIENCE`
seconds of computing, which ends by a signal instead of going on for ever.
"""

from __future__ import annotations

import math
import random
import signal
import traceback
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd
from thorough import times

import asyncsim as sim

PATIENCE = 5.0
"""Seconds of computing; no case takes a second on a machine of 2020."""
OURS = (sim.CensoredWarning, sim.LogWarning, sim.PrecisionWarning, sim.SteadyStateWarning)
deep: Any = ()
for _ in range(2000):
    deep = (deep,)

WORDS = [
    *["", " ", "\t", "x", "5min", "-5min", "1h 30min", "1e200s", "1e-300s", "9" * 400 + "s", "1ns"],
    *["1" * 5000, "a" * 100_000, "a." * 500, "1e11s", "nan", "inf", "NaN s", "-0s", "+1s", "٣s"],
    *["300/h", "1e300/s", "1e-300/day", "0/h", "nan/s", "1/fortnight", "1_000/h", "1/s/s"],
    *["22:00", "24:00", "24:01", "00:00", "2:30", "25:99", "22:00:61", "22:00:00.5", "٢٢:٠٠"],
    *["1.2%", "* * * * *", "0 0 30 2 *", "*/0 * * * *", "0 0 * * 5L/2", "0\t22 * * *"],
    *["0 0 29 2 1#5"],
    *["Mon-Fri", "Sat", "every day", "Mon-Tue-Wed", "Mon,", "Fun", "Mon-Fri," * 999, "-"],
    *["9999-12-31", "0001-01-01", "1677-09-21", "2262-04-12", "1700-01-01", "2200-12-31"],
    *["Europe/Berlin", "Pacific/Kiritimati", "Europe", "../etc", "UTC", "", "a//b", "/no/such"],
    *["DE", "DE-BY", "DE-", "US-PR", "de", "XX", "__init__", "HolidayBase", "SA", "IL", "CN"],
    *["unlimited", "fail", "continue", "per item", "at end", "before call", "clock", "random"],
    *["100 per 60 s", "3000 refilled 500/s", "0 per 0 s", "1 refilled 1e-300/s", "1/1"],
    *["a\0b", "\0", "\ud800", "\udfff\ud800", "\u202e", "é" * 500, "\r\n", '"', "'''", "#", "[[]]"],
    *["step", "async step", "choice", "parallel", "nightly batch", "online service", "people"],
    *["chain", "recorded", "poisson", "weekly poisson", "scattered", "regular", "at", "5 %"],
]  # fmt: skip
NUMBERS = [
    *[0, 1, -1, 10**5000, 10**6, 10**9, 10**11, 2**53 + 1, 2**63, 10**30, -(10**30), 10**400],
    *[-math.inf, 0.0, 0.5, 1e-9, 1e-3, 1e11, 1e12, 1e300, 1.7e308, 5e-324, math.nan, math.inf],
]  # fmt: skip
IN_A_FILE: list[Any] = [
    *[*WORDS, *WORDS, *NUMBERS, *NUMBERS, True, False, [], {}, [[]], [{}], {"": 1}],
    *[{"law": "lognormal", "mean": 1e-9, "sd": 1e11}, {"law": "gamma", "mean": 1e11, "sd": 1e-9}],
    *[{"law": "exponential", "mean": 1e11}, {"law": "empirical", "values": [0, 1e11]}],
    *[date(1, 1, 1), date(1700, 1, 1), date(2200, 12, 31), date.max, time(22), time.max],
    *[datetime.min, datetime(2026, 1, 5), datetime(9999, 12, 31, tzinfo=UTC)],
    *[[0.0, 1e11], [1, "1"], ["08:00", "20:00"], ["20:00", "08:00"], [0.5] * 24, [[1] * 24] * 7],
]  # fmt: skip
IN_PYTHON: list[Any] = [
    *[*IN_A_FILE, None, deep, b"22:00", 1j, object(), len, Fraction(10**400), Decimal("5")],
    *[range(3), timedelta.max, timedelta.min, timedelta(seconds=5), time(22, tzinfo=UTC), {1: 2}],
    *[np.timedelta64(3, "M"), np.timedelta64("NaT", "s"), np.datetime64("2026")],
    *[np.float32("nan"), np.int64(5), np.array([]), np.array("x"), np.array([1.0, 2.0])],
    *[np.zeros((7, 24)), np.ones((7, 24)), pd.Series([1.0]), pd.NaT, pd.NA],
    *[pd.Timestamp("2026-01-05"), pd.Timedelta("5min")],
]  # fmt: skip
TIMES_TAKEN: tuple[Any, ...] = (
    *["0s", "1ms", "5min", "1e11s", 1e-300, {"law": "exponential", "mean": "1e11s"}],
    *[
        {"law": "lognormal", "mean": "1ns", "sd": "1e11s"},
        {"law": "empirical", "values": [0, 1e11]},
    ],
    *[{"law": "gamma", "mean": "1e11s", "sd": "1ns"}, {"law": "uniform", "low": 0, "high": "1ns"}],
    *[{"law": "lognormal", "mean": "1e11s", "sd": "1e11s", "low": "1e10s"}],
)
TAKEN: dict[str, Any] = {
    **dict.fromkeys(["work", "call_work", "item_time"], TIMES_TAKEN),
    **dict.fromkeys(["arm_delay", "offset", "poll_work", "callback_work"], TIMES_TAKEN[:5]),
    **dict.fromkeys(["timeout", "buffer_for", "length", "every"], ("1ns", "1ms", "1e9s", "1e11s")),
    **dict.fromkeys(["workers", "lanes", "team", "max_items", "size", "count"], (1, 2, 10**5)),
    **dict.fromkeys(["skip", "failure"], (0.0, 0.5, 1 - 1e-9, 1e-300)),
    **dict.fromkeys(["cut_off", "end"], ("00:00", "02:30", "12:00", "23:59:59", "24:00")),
    **dict.fromkeys(["volume", "check", "worker_hour", "late_minute"], (1e-9, 1e9)),
    "start": [
        *["1700-01-01", "2200-12-31", "2026-03-29", "2026-10-25", "24:00", "02:30", "* * * * *"],
        *["0 0 30 2,3 *", "0 0 29 2 *", "59 23 31 12 *", "0 2 * * 7#5"],
    ],
    "zone": ["Europe/Berlin", "Pacific/Apia", "Africa/Monrovia", "Antarctica/Troll", "Asia/Kabul"],
    "days": ["Sat", "every day", "Fri-Mon"],
    "holidays": ["DE", "US-PR", "IL", "SA", "CN", "IR"],
    "between": [["00:00", "24:00"], ["02:00", "03:00"], ["00:00", "00:00:01"]],
    "rate": ["1e-11/s", "1/week", "1e9/s", "3/min"],
    "times": [[0.0] * 9, [0, 1e9], [1e11]],
    "completions": [[-1e11] * 30, [1e11] * 30],
    "finish_limit": ["1 per 1e11 s", "1 refilled 1e-11/s", "1000000000 per 1ns"],
    "arm": ["before call"],
    "policy": [{"early": "buffer", "buffer_for": "1ns"}],
}
"""Extreme values that the keys of a file may have, so that what is played is extreme."""
failures: dict[str, str] = {}
"""What fails in a series: the first case for each place in the code."""


def cases(name: str, number: int) -> Iterator[tuple[int, random.Random]]:
    """Yield cases, each with random numbers of its own; in the end, fail if any of them did."""
    failures.clear()
    for k in range(times(number)):
        yield k, random.Random(f"{name} {k}")
    found = "\n\n".join(failures.values())
    assert not found, f"{len(failures)} kinds of failures\n{found}"


class TooLong(BaseException):
    """A case takes too long; no ``except Exception`` stops it."""


def _stop(*_: object) -> None:
    raise TooLong(f"more than {PATIENCE} s of computing")


@contextmanager
def guarded(*case: object) -> Iterator[None]:
    """Accept the errors and warnings of asyncsim; anything else is a failure."""
    before = signal.signal(signal.SIGPROF, _stop)
    signal.setitimer(signal.ITIMER_PROF, PATIENCE)
    try:
        with warnings.catch_warnings():
            for ours in OURS:
                warnings.simplefilter("ignore", ours)
            yield
    except sim.AsyncsimError as error:  # whose message can be shown, in a few lines
        if len(str(error)) > 4000:
            fail(error, case)
    except (Exception, TooLong) as error:
        signal.setitimer(signal.ITIMER_PROF, 0)
        fail(error, case)
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def fail(error: BaseException, case: object) -> None:
    """Keep a failure: its error, the last lines it went through, and the case."""
    lines = traceback.extract_tb(error.__traceback__)
    where = [f"{line.filename}:{line.lineno} {line.line}" for line in lines]
    inside = [place for place in where if "/asyncsim/" in place][-1:] or where[-1:]
    failures.setdefault(
        f"{type(error)} {inside}",
        f"{type(error).__name__}: {str(error)[:2000]}\n"
        + "\n".join(dict.fromkeys([*where[1:3], *inside, *where[-2:]]))
        + f"\ncase: {shown(case)}",
    )


def shown(case: object) -> str:
    """Return a case as Python writes it, as far as it can be written."""
    try:
        return repr(case)[:20_000]
    except (ValueError, RecursionError):
        return (
            f"({', '.join(shown(part) for part in case)})"
            if isinstance(case, tuple)
            else str(type(case))
        )


def pick(rng: random.Random, values: Sequence[Any]) -> Any:
    """Return one of some values: a copy, so that damage to it changes no other case."""
    return deepcopy(value) if isinstance(value := rng.choice(values), (list, dict)) else value


def places(value: Any, depth: int = 100) -> list[tuple[Any, Any]]:
    """Return every (container, key) of nested tables and arrays."""
    keys = list(value) if isinstance(value, dict) else range(len(value))
    found = [(value, key) for key in keys]
    inner = [value[key] for key in keys if isinstance(value[key], (dict, list)) and depth]
    return found + [place for each in inner for place in places(each, depth - 1)]


def damage_table(document: dict[str, Any], rng: random.Random) -> None:
    """Delete, duplicate, rename, replace, retype, nest or swap something, somewhere."""
    if not (everywhere := places(document)):
        return
    fitting = [place for place in everywhere if place[1] in TAKEN]
    if fitting and rng.random() < 0.6:
        container, key = rng.choice(fitting)
        more = [*container, *TAKEN] if rng.random() < 0.3 else [key]
        key = rng.choice([each for each in more if each in TAKEN])
        container[key] = pick(rng, TAKEN[key])
        return
    container, key = rng.choice(everywhere)
    other, place = rng.choice(everywhere)
    how = rng.choice(["delete", "duplicate", "rename", "retype", "nest", "swap", *["replace"] * 4])
    if how == "delete":
        del container[key]
    elif how == "duplicate" and isinstance(container, list):
        container.insert(rng.randrange(len(container) + 1), container[key])
    elif how in ("rename", "duplicate") and isinstance(container, dict):
        keys = [k for c, k in everywhere if isinstance(c, dict)]
        new = rng.choice([*keys, str(rng.choice(WORDS))])
        container[new] = container[key] if how == "duplicate" else container.pop(key)
    elif how == "retype":
        value = container[key]
        ways = [
            str,
            lambda v: [v],
            lambda v: [v, v],
            lambda v: {"law": "fixed", "value": v},
            len,
            float,
        ]
        try:
            container[key] = rng.choice(ways)(value)
        except (TypeError, ValueError, OverflowError):
            container[key] = str(type(value))
    elif how == "nest":
        for _ in range(rng.choice([1, 2, 30, 200])):
            container[key] = {str(rng.choice(["steps", "on_timeout", "a"])): [container[key]]}
    elif how == "swap" and not any(container[key] is c or other[place] is c for c, _ in everywhere):
        container[key], other[place] = other[place], container[key]
    else:
        container[key] = pick(rng, IN_A_FILE)


def damage_bytes(data: bytes, rng: random.Random, page: int = 64) -> bytes:
    """Change, lose, double or swap bytes or pages of them, or encode them in another way."""
    made = bytearray(data)
    for _ in range(rng.choice([1, 1, 2, 8])):
        at, to = rng.randrange(len(made) + 1), rng.randrange(len(made) + 1)
        how = rng.randrange(8)
        if how == 0:
            made[at : at + 1] = rng.randbytes(1)
        elif how == 1:
            made[at : at + rng.randrange(9)] = rng.randbytes(rng.randrange(9))
        elif how == 2:
            del made[at : at + rng.choice([1, 4, page, 9 * page])]
        elif how == 3:
            word = str(rng.choice(WORDS)).encode("utf-8", "surrogatepass")
            made[at:at] = word * (1 if len(word) > 99 else rng.choice([1, 1, 1, 50]))
        elif how == 4:
            made[at : at + page] = made[to : to + page]
        elif how == 5:
            made[at:at] = made[at - page : at]
        elif how == 6 and at < len(made):
            made[at] ^= 1 << rng.randrange(8)
        elif how == 7 and rng.random() < 0.3:
            del made[at:]
    return bytes(made)


def damage_text(text: str, rng: random.Random) -> bytes:
    """Damage the lines of a text, its bytes, or the way it is encoded."""
    lines = text.splitlines(keepends=True)
    how = rng.randrange(6)
    if how == 0:
        rng.shuffle(lines)
    elif how == 1:
        lines.insert(rng.randrange(len(lines)), rng.choice(lines))
    elif how == 2:
        del lines[rng.randrange(len(lines))]
    text = "".join(lines)
    if how == 3:
        new = rng.choice(["\r\n", "\r", "\n\n", "\0\n", "\u2028", " \n"])
        codec = rng.choice(
            ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32", "utf-7", "cp037"]
        )
        return text.replace("\n", new).encode(codec, "replace")
    data = text.encode()
    return data if how == 0 else damage_bytes(data, rng)
