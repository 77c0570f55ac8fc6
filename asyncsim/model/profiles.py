"""Profiles: how other engines answer a finish that is not the first one in time, and what it costs.

The data is in ``profiles.toml``; each entry carries a mark that is always shown with it: [V]
verified in a public source, [D] derived and checked by simulation, [R] measured in the software
itself, on one machine, in the version shown, [U] not verified.

Where an entry is not verified, or the engine has no such notion, the policy is an assumption of
this project. Database operations that were not measured stay those of the server.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

import pandas as pd
from attrs import evolve, field, frozen

from asyncsim.model.html import cells_html, result_html
from asyncsim.model.server import FinishPolicy, WorkflowServer
from asyncsim.model.units import one_of
from asyncsim.model.validation import argument, scenario_error

MARKS = {"V": "verified", "D": "derived", "R": "measured", "U": "not verified"}
KINDS = ("early", "duplicate", "unknown", "late")
POINTS = (*KINDS, "waiting_holds", "timeout", "operations")


@frozen
class Fact:
    """What is known of one point, and how well: a key of `MARKS`, or nothing."""

    says: str
    mark: str

    def __str__(self) -> str:
        return f"{self.says} [{self.mark}]" if self.mark else self.says


def _fact(text: str) -> Fact:
    """Return the fact that is written ``"409 [V]"``, or without a mark."""
    says, _, mark = text.removesuffix("]").rpartition(" [")
    return Fact(says, mark) if says and mark in MARKS else Fact(text, "")


@frozen
class Profile:
    """How one engine answers; see `profiles` for all of them.

    Attributes
    ----------
    name
        Name of the engine.
    early, duplicate, unknown, late
        Answer to a finish before the wait is armed, a second time, with an unknown number, and
        after a time-out.
    waiting_holds, timeout
        What a waiting step occupies, and what ends a wait that is never finished.
    operations
        Database operations of a check and of a callback.
    policy
        A server's policy that behaves that way.
    assumed
        The `KINDS` for which that policy is an assumption.
    statuses
        HTTP status by kind, where a source names one.
    check_operations, callback_operations
        Measured numbers of database operations; None leaves those of the server.
    """

    name: str
    early: Fact
    duplicate: Fact
    unknown: Fact
    late: Fact
    waiting_holds: Fact
    timeout: Fact
    policy: FinishPolicy = field(factory=FinishPolicy)
    assumed: tuple[str, ...] = ()
    statuses: Mapping[str, int] = field(factory=dict, hash=False)
    operations: Fact = Fact("not measured", "U")
    check_operations: float | None = None
    callback_operations: float | None = None

    def with_buffer(self, keep: float | str) -> Profile:
        """Return the profile with early finishes kept for `keep` (a message's time to live)."""
        return evolve(self, policy=evolve(self.policy, buffer_for=keep))

    def applied_to(self, server: WorkflowServer) -> WorkflowServer:
        """Return a server with the policy, and the database operations that were measured."""
        numbers = ("check_operations", "callback_operations")
        measured = {one: value for one in numbers if (value := getattr(self, one)) is not None}
        return evolve(server, policy=self.policy, **measured)

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
                "how well known": [MARKS.get(fact.mark, "does not apply") for fact in facts],
                "here": [
                    does.get(point, "") + (" (assumed)" if point in self.assumed else "")
                    for point in POINTS
                ],
            }
        )

    def __str__(self) -> str:
        return f"{self.name}\n{self.table().to_string(index=False)}"

    def _repr_html_(self) -> str:
        heads = ("", "says", "how well known", "policy of a server here")
        return result_html(self.name, cells_html(heads, self.table().to_numpy().tolist()))


def _profile(table: dict[str, Any]) -> Profile:
    facts = {point: _fact(table[point]) for point in POINTS if point in table}
    policy, assumed = FinishPolicy(**table.get("policy", {})), tuple(table.get("assumed", ()))
    return Profile(**{**table, **facts, "policy": policy, "assumed": assumed})


_DATA = files("asyncsim.model").joinpath("profiles.toml").read_text(encoding="utf-8")
PROFILES = {name: _profile(table) for name, table in tomllib.loads(_DATA).items()}


def profile_named(value: str | Profile) -> Profile:
    """Return a profile, also by its name: ``"camunda 8"``, ``"Camunda-8"``."""
    if isinstance(value, Profile):
        return value
    if isinstance(value, str):
        plain = " ".join(value.lower().replace("_", " ").replace("-", " ").split())
        return PROFILES[argument("profile", value, lambda _: one_of(plain, PROFILES))]
    raise scenario_error(
        "profile", f"must be a Profile or one of {', '.join(map(repr, PROFILES))}", value
    )


def profiles() -> pd.DataFrame:
    """Return all profiles, one row each; every cell ends with its mark.

    >>> sim.profiles().loc["n8n", "early"], sim.profiles().loc["k2", "late"]
    ('409 [V]', 'unknown to us [U]')
    >>> sim.profiles().loc["dbos", "operations"]
    '1 a check, 12 a callback [R]'
    """
    rows = [[one.name, *(str(getattr(one, p)) for p in POINTS)] for one in PROFILES.values()]
    columns = ["engine", *(point.replace("_", " ") for point in POINTS)]
    return pd.DataFrame(rows, columns=columns, index=pd.Index(PROFILES, name="profile"))
