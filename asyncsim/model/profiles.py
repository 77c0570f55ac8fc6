"""Profiles: how other engines answer a finish that is not the first one in time, and what it costs.

The data is in ``profiles.toml``; each entry carries a mark that is always shown with it:

* **[V]** verified in a public source,
* **[D]** derived, and checked by simulation,
* **[R]** measured in the software itself, on one machine, in the version shown,
* **[U]** not verified.

A profile also has a `FinishPolicy` that behaves that way. Where an entry is not verified, or the
engine has no such notion, the policy is an assumption of this project, and `assumed` lists it.
Database operations that were not measured stay those of the server.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from html import escape
from importlib.resources import files
from typing import Any

import pandas as pd
from attrs import evolve, field, frozen

from asyncsim.errors import ScenarioError
from asyncsim.model.server import FinishPolicy, WorkflowServer
from asyncsim.model.units import nearest

MARKS = {"V": "verified", "D": "derived", "R": "measured", "U": "not verified"}
KINDS = ("early", "duplicate", "unknown", "late")
POINTS = (*KINDS, "waiting_holds", "timeout", "operations")


@frozen
class Fact:
    """What is known of one point, and how well: a key of `MARKS`, or nothing."""

    says: str
    mark: str

    @classmethod
    def read(cls, text: str) -> Fact:
        """Return the fact that is written ``"409 [V]"``, or without a mark."""
        says, _, mark = text.removesuffix("]").rpartition(" [")
        return cls(says, mark) if says and mark in MARKS else cls(text, "")

    def __str__(self) -> str:
        return f"{self.says} [{self.mark}]" if self.mark else self.says


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
        The `KINDS` for which the policy is an assumption.
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

    @classmethod
    def read(cls, table: Mapping[str, Any]) -> Profile:
        """Return the profile of a table of ``profiles.toml``."""
        facts = {point: Fact.read(table[point]) for point in POINTS if point in table}
        policy = FinishPolicy(**table.get("policy", {}))
        assumed = tuple(table.get("assumed", ()))
        return cls(**{**table, **facts, "policy": policy, "assumed": assumed})

    def with_buffer(self, keep: float | str) -> Profile:
        """Return the profile with early finishes kept for `keep` (a message's time to live)."""
        return evolve(self, policy=evolve(self.policy, buffer_for=keep))

    def applied_to(self, server: WorkflowServer) -> WorkflowServer:
        """Return a server with the policy, and the database operations that were measured."""
        check, callback = self.check_operations, self.callback_operations
        return evolve(
            server,
            policy=self.policy,
            check_operations=server.check_operations if check is None else check,
            callback_operations=server.callback_operations if callback is None else callback,
        )

    def table(self) -> pd.DataFrame:
        """Return one row per point: what is known, how well, and what the policy does."""
        does = {kind: getattr(self.policy, kind) for kind in KINDS}
        does["operations"] = self._operations_here()
        rows = []
        for point in POINTS:
            fact: Fact = getattr(self, point)
            here = does.get(point, "")
            rows.append(
                {
                    "point": point.replace("_", " "),
                    "says": fact.says,
                    "how well known": MARKS.get(fact.mark, "does not apply"),
                    "here": f"{here} (assumed)" if point in self.assumed else here,
                }
            )
        return pd.DataFrame(rows)

    def _operations_here(self) -> str:
        known = {"check": self.check_operations, "callback": self.callback_operations}
        return ", ".join(
            f"{kind}: {'as the server says (assumed)' if number is None else f'{number:g}'}"
            for kind, number in known.items()
        )

    def __str__(self) -> str:
        return f"{self.name}\n{self.table().to_string(index=False)}"

    def _repr_html_(self) -> str:
        return f"<b>{escape(self.name)}</b>{self.table().to_html(index=False)}"


PROFILES: dict[str, Profile] = {
    name: Profile.read(table)
    for name, table in tomllib.loads(
        files("asyncsim.model").joinpath("profiles.toml").read_text(encoding="utf-8")
    ).items()
}
"""Profiles by the names that ``profile=`` takes."""


def profile_named(value: str | Profile) -> Profile:
    """Return a profile, also by its name: ``"camunda 8"``, ``"Camunda-8"``."""
    if isinstance(value, Profile):
        return value
    names = ", ".join(repr(name) for name in PROFILES)
    if isinstance(value, str):
        plain = " ".join(value.lower().replace("_", " ").replace("-", " ").split())
        if plain in PROFILES:
            return PROFILES[plain]
        raise ScenarioError(
            f"profile must be one of {names}, got {value!r}{nearest(plain, PROFILES)}"
        )
    raise ScenarioError(f"profile must be a Profile or one of {names}, got {value!r}")


def profiles() -> pd.DataFrame:
    """Return all profiles, one row each; every cell ends with its mark.

    Examples
    --------
    >>> import asyncsim as sim
    >>> sim.profiles().loc["n8n", "early"]
    '409 [V]'
    >>> sim.profiles().loc["k2", "late"]
    'unknown to us [U]'
    >>> sim.profiles().loc["dbos", "operations"]
    '1 a check, 12 a callback [R]'
    """
    rows = [
        [one.name, *(str(getattr(one, point)) for point in POINTS)] for one in PROFILES.values()
    ]
    columns = ["engine", *(point.replace("_", " ") for point in POINTS)]
    return pd.DataFrame(rows, columns=columns, index=pd.Index(PROFILES, name="profile"))
