"""Profiles: how other engines answer a finish that is not the first one in time, and what it costs.

The data is in ``profiles.toml``, and in files of your own of the same form; each entry carries a
mark that is always shown with it: [V] verified in a public source, [D] derived and checked by
simulation, [R] run against the software itself, on one machine, in the version shown, [U] not
verified.

Where an entry is not verified, or the engine has no such notion, the policy is an assumption of
this project. Database operations that were not measured stay those of the server.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

import pandas as pd
from attrs import evolve, field, frozen

from asyncsim.model import units
from asyncsim.model.html import cells_html, result_html
from asyncsim.model.scenario_files import Tables, load, loads
from asyncsim.model.server import KINDS, FinishPolicy, WorkflowServer
from asyncsim.model.units import InvalidValue, nearest, one_of
from asyncsim.model.validation import argument, name_errors, scenario_error

MARKS = {"V": "verified", "D": "derived", "R": "measured", "U": "not verified"}
POINTS = (*KINDS, "waiting_holds", "timeout", "operations")
ORIGIN = ("version", "date", "source")
NOT_APPLICABLE = "does not apply"
_FILE = re.compile(r"(?P<path>.+\.toml)(?::(?P<name>.+))?", re.IGNORECASE | re.DOTALL)
_STATUS = re.compile(r"([1-5]\d\d)(?: (\S.{0,80}))?")


@frozen
class Fact:
    """What is known of one point, and how well: a key of `MARKS`, or nothing."""

    says: str
    mark: str

    def __str__(self) -> str:
        return f"{self.says} [{self.mark}]" if self.mark else self.says


UNKNOWN = Fact("unknown to us", "U")


def _fact(value: str | Fact) -> Fact:
    """Return the fact that is written ``"409 [V]"``, or "does not apply" without a mark."""
    if isinstance(value, Fact):
        return value
    text = units.text(value)
    says, _, mark = text.removesuffix("]").rpartition(" [")
    if says and text.endswith("]") and mark in MARKS:
        return Fact(says, mark)
    if text.startswith(NOT_APPLICABLE):
        return Fact(text, "")
    marks = ", ".join(f"[{one}] {words}" for one, words in MARKS.items())
    raise InvalidValue(f"must end with how well it is known, as '409 [V]' does ({marks})")


def _assumed(value: Any) -> tuple[str, ...]:
    return tuple(one_of(kind, KINDS) for kind in units.texts(value))


def _statuses(value: Any) -> dict[str, str]:
    """Return HTTP statuses as text, each perhaps with the engine's own word behind it."""
    if not isinstance(value, Mapping):
        raise InvalidValue("must map kinds of finishes to statuses such as '404 NOT_FOUND'")
    found = {kind: str(status) for kind, status in value.items()}
    for kind, status in found.items():
        if kind not in (kinds := ("finished", *KINDS)):
            words = ", ".join(kinds)
            raise InvalidValue(f"must have the keys {words}", nearest(str(kind), kinds))
        if not _STATUS.fullmatch(status):
            raise InvalidValue(f"must have an HTTP status such as 404 or '404 NOT_FOUND' at {kind}")
    return found


def _operations(value: float | None) -> float | None:
    return None if value is None else units.operations(value)


@frozen(field_transformer=name_errors)
class Profile:
    """How one engine answers; see `profiles` for all of them.

    Attributes
    ----------
    name
        Name of the engine.
    early, duplicate, unknown, late
        Answer to a finish before the wait is armed, a second time, with an unknown number, and
        after a time-out. Each ends with its mark, such as ``"409 [V]"``; without one it begins with
        "does not apply".
    waiting_holds, timeout
        What a waiting step occupies, and what ends a wait that is never finished.
    operations
        Database operations of a check and of a callback.
    version, date, source
        What was run or read, and when. They are empty where that is not known.
    policy
        A server's policy that behaves that way.
    assumed
        The kinds of finishes for which that policy is an assumption; always those whose answer is
        not verified or does not apply.
    statuses
        HTTP status by kind of finish (``"finished"`` is the first one in time), where a source
        names one, perhaps with the engine's own word: ``404`` or ``"404 NOT_FOUND"``.
    check_operations, callback_operations
        Measured numbers of database operations; None leaves those of the server.
    """

    name: str = field(converter=units.text)
    early: Fact = field(default=UNKNOWN, converter=_fact)
    duplicate: Fact = field(default=UNKNOWN, converter=_fact)
    unknown: Fact = field(default=UNKNOWN, converter=_fact)
    late: Fact = field(default=UNKNOWN, converter=_fact)
    waiting_holds: Fact = field(default=UNKNOWN, converter=_fact)
    timeout: Fact = field(default=UNKNOWN, converter=_fact)
    policy: FinishPolicy = field(factory=FinishPolicy)
    assumed: tuple[str, ...] = field(default=(), converter=_assumed)
    statuses: Mapping[str, str] = field(factory=dict, converter=_statuses, hash=False)
    operations: Fact = field(default=Fact("not measured", "U"), converter=_fact)
    check_operations: float | None = field(default=None, converter=_operations)
    callback_operations: float | None = field(default=None, converter=_operations)
    version: str = field(default="", converter=units.any_text)
    date: str = field(default="", converter=units.any_text)
    source: str = field(default="", converter=units.any_text)

    def __attrs_post_init__(self) -> None:
        known = {kind: getattr(self, kind).mark not in ("", "U") for kind in KINDS}
        also = tuple(kind for kind in KINDS if kind in self.assumed or not known[kind])
        object.__setattr__(self, "assumed", also)
        for kind, status in self.statuses.items():
            refuses = kind != "finished" and getattr(self.policy, kind) == "reject"
            if refuses != (int(status[:3]) >= 400):
                right = "at least 400" if refuses else "below 400"
                problem = f"must be {right}, as {kind} is {'' if refuses else 'not '}rejected"
                raise scenario_error(f"Profile.statuses[{kind!r}]", problem, status)

    def with_buffer(self, keep: float | str) -> Profile:
        """Return the profile with early finishes kept for `keep` (a message's time to live)."""
        return evolve(self, policy=evolve(self.policy, buffer_for=keep))

    def applied_to(self, server: WorkflowServer) -> WorkflowServer:
        """Return a server with the policy, and the database operations that were measured."""
        numbers = ("check_operations", "callback_operations")
        measured = {one: value for one in numbers if (value := getattr(self, one)) is not None}
        return evolve(server, policy=self.policy, **measured)

    @property
    def title(self) -> str:
        """Name, version, date and source."""
        known = [getattr(self, one) for one in ORIGIN]
        return f"{self.name} ({'; '.join(filter(None, known)) or 'source not known'})"

    def table(self) -> pd.DataFrame:
        """Return one row per point: what is known, how well, and what the policy does."""
        numbers = {"check": self.check_operations, "callback": self.callback_operations}
        does = {kind: getattr(self.policy, kind) for kind in KINDS}
        does["operations"] = ", ".join(
            f"{kind}: {'as the server says (assumed)' if number is None else f'{number:g}'}"
            for kind, number in numbers.items()
        )
        facts: list[Fact] = [getattr(self, point) for point in POINTS]
        return pd.DataFrame(
            {
                "point": [point.replace("_", " ") for point in POINTS],
                "says": [fact.says for fact in facts],
                "how well known": [MARKS.get(fact.mark, NOT_APPLICABLE) for fact in facts],
                "here": [
                    does.get(point, "") + (" (assumed)" if point in self.assumed else "")
                    for point in POINTS
                ],
            }
        )

    def __str__(self) -> str:
        return f"{self.title}\n{self.table().to_string(index=False)}"

    def _repr_html_(self) -> str:
        heads = ("", "says", "how well known", "policy of a server here")
        return result_html(self.title, cells_html(heads, self.table().to_numpy().tolist()))


_DATA = files("asyncsim.model").joinpath("profiles.toml").read_text(encoding="utf-8")
PROFILES: dict[str, Profile] = loads(_DATA, Tables(Profile), "profiles.toml")


def profile_named(value: str | Profile) -> Profile:
    """Return a profile, also by its name (``"Camunda-8"``), or one of a file of profiles.

    ``"mine.toml"`` names the only profile of a file, ``"mine.toml:our bus"`` one of several.
    """
    if isinstance(value, Profile):
        return value
    if isinstance(value, str):
        plain, known = _plain(value), PROFILES
        if found := _FILE.fullmatch(value):
            known = load(found["path"], Tables(Profile))
            if found["name"] is None and len(known) == 1:
                return next(iter(known.values()))
            if found["name"] is None:
                names = ", ".join(repr(f"{found['path']}:{name}") for name in known)
                problem = f"must name one of the profiles of the file ({names or 'it has none'})"
                raise scenario_error("profile", problem, value)
            plain = _plain(found["name"])
        by_words = {_plain(name): profile for name, profile in known.items()}
        return by_words[argument("profile", value, lambda _: one_of(plain, by_words))]
    raise scenario_error(
        "profile", f"must be a Profile or one of {', '.join(map(repr, PROFILES))}", value
    )


def _plain(name: str) -> str:
    return " ".join(name.lower().replace("_", " ").replace("-", " ").split())


def profiles(path: str | None = None) -> pd.DataFrame:
    """Return all profiles, one row each; every fact ends with its mark.

    >>> sim.profiles().loc["n8n", "early"], sim.profiles().loc["k2", "late"]
    ('409, and the step waits on [R]', 'unknown to us [U]')
    >>> sim.profiles().loc["dbos", ["version", "date", "operations"]].tolist()
    ['3.4', '2026-11', '1 a check, 12 a callback [R]']

    Parameters
    ----------
    path
        A file of profiles of your own, which come first. It has a table for each, such as::

            ["our bus"]
            name = "Our message bus"
            duplicate = "409 [R]"
            policy = { duplicate = "reject" }
            statuses = { duplicate = 409 }

        Wherever a profile is named, ``"mine.toml"`` or ``"mine.toml:our bus"`` takes it from there.
    """
    own: dict[str, Profile] = {} if path is None else load(path, Tables(Profile))
    known = [*own.items(), *PROFILES.items()]
    rows = [[one.name, *(str(getattr(one, p)) for p in (*ORIGIN, *POINTS))] for _, one in known]
    columns = ["engine", *ORIGIN, *(point.replace("_", " ") for point in POINTS)]
    return pd.DataFrame(
        rows, columns=columns, index=pd.Index([k for k, _ in known], name="profile")
    )
