"""How other engines answer a finish that is not the first one in time, and what it costs, as data.

Gathered from public sources, each entry with a mark that is shown to whoever looks:

* **[V]** verified in a public source,
* **[D]** derived, and checked by simulation,
* **[R]** measured in the software itself, on one machine, in the version shown,
* **[U]** not verified.

A profile also carries a `FinishPolicy` that behaves that way. Where an entry is not verified, or
where an engine has no such notion, the policy is an assumption of this project, and `assumed` says
so. Database operations that were not measured stay those of the server.
"""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

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
        What a finish gets before the wait is armed, a second time, with a number nobody knows, and
        after a time-out.
    waiting_holds, timeout
        What a waiting step occupies, and what ends a wait that nobody finishes.
    operations
        How many database operations a check and a callback take.
    policy
        A server's policy that behaves that way.
    assumed
        Which of `KINDS` the policy had to assume.
    statuses
        HTTP status by kind, where a source names one.
    check_operations, callback_operations
        The measured numbers of database operations; None leaves those of the server.
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
        """Return the profile with early finishes kept for so long (a message's time to live)."""
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
        does = {
            "early": self.policy.early,
            "duplicate": self.policy.duplicate,
            "unknown": self.policy.unknown,
            "late": self.policy.late,
            "operations": self._operations_here(),
        }
        rows = []
        for kind in POINTS:
            fact: Fact = getattr(self, kind)
            here = does.get(kind, "")
            rows.append(
                {
                    "point": kind.replace("_", " "),
                    "says": fact.says,
                    "how well known": MARKS.get(fact.mark, "does not apply"),
                    "here": f"{here} (assumed)" if kind in self.assumed else here,
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


def known(says: str) -> Fact:
    """Return a verified fact."""
    return Fact(says, "V")


def measured(says: str) -> Fact:
    """Return what was measured in the software itself."""
    return Fact(says, "R")


def open_question(says: str = "unknown to us") -> Fact:
    """Return what nobody has verified."""
    return Fact(says, "U")


NO_SUCH_THING = Fact("does not apply: it asks, nobody calls back", "")
NO_NODE = Fact("no matching node", "D")
MISMATCH = known("mismatch error")
NOT_FOUND = known("NotFound")
TIMER = known("boundary timer")

PROFILES: dict[str, Profile] = {
    "k2": Profile(
        "K2 server event",
        early=open_question(),
        duplicate=open_question(),
        unknown=open_question(),
        late=open_question(),
        waiting_holds=Fact("a row in the database, as the vendor claims", "U"),
        timeout=open_question("step deadline"),
        assumed=KINDS,
    ),
    "step functions": Profile(
        "AWS Step Functions task token",
        early=known("there is no token before the step is entered"),
        duplicate=known("400 TaskTimedOut"),
        unknown=known("InvalidToken or TaskDoesNotExist"),
        late=known("TaskTimedOut; a retry makes a new token"),
        waiting_holds=known("nothing, unbilled"),
        timeout=known("TimeoutSeconds, HeartbeatSeconds, or one year"),
        assumed=("early",),
        statuses={"duplicate": 400},
    ),
    "temporal": Profile(
        "Temporal async activity",
        early=open_question("works"),
        duplicate=NOT_FOUND,
        unknown=NOT_FOUND,
        late=NOT_FOUND,
        waiting_holds=known("no worker slot"),
        timeout=known("start-to-close, heartbeat"),
        policy=FinishPolicy(early="buffer"),
        assumed=("early",),
    ),
    "durable functions": Profile(
        "Azure Durable external event",
        early=known("buffered"),
        duplicate=known("at-least-once"),
        unknown=known("404"),
        late=known("410"),
        waiting_holds=known("nothing"),
        timeout=known("none by default: race a timer"),
        policy=FinishPolicy(early="buffer", duplicate="accept"),
        statuses={"unknown": 404, "late": 410},
    ),
    "camunda 7": Profile(
        "Camunda 7 message",
        early=known("rejected until the wait is committed"),
        duplicate=MISMATCH,
        unknown=MISMATCH,
        late=MISMATCH,
        waiting_holds=known("a row"),
        timeout=TIMER,
    ),
    "camunda 8": Profile(
        "Camunda 8 message",
        early=known("buffered for its time to live, in order"),
        duplicate=known("the same messageId is rejected while buffered"),
        unknown=known("discarded at a time to live of 0"),
        late=known("expired"),
        waiting_holds=known("a subscription"),
        timeout=TIMER,
        policy=FinishPolicy(early="buffer", buffer_for="1h", unknown="ignore", late="accept"),
        assumed=("duplicate", "late"),
    ),
    "airflow": Profile(
        "Airflow sensor",
        early=NO_SUCH_THING,
        duplicate=NO_SUCH_THING,
        unknown=NO_SUCH_THING,
        late=known("failed or skipped"),
        waiting_holds=known("a slot, a slot per check, or a triggerer"),
        timeout=known("timeout; pokes every 60 s"),
        assumed=KINDS,
    ),
    "argo": Profile(
        "Argo suspend",
        early=NO_NODE,
        duplicate=NO_NODE,
        unknown=NO_NODE,
        late=NO_NODE,
        waiting_holds=open_question("no pod"),
        timeout=known("duration"),
    ),
    "n8n": Profile(
        "n8n Wait webhook",
        early=known("409"),
        duplicate=known("409"),
        unknown=known("404"),
        late=known("409"),
        waiting_holds=known("the database"),
        timeout=known("optional"),
        statuses={"early": 409, "duplicate": 409, "unknown": 404, "late": 409},
        operations=measured("27 a callback (2.40.7); a check: not measured"),
        callback_operations=27,
    ),
    "dbos": Profile(
        "DBOS send and recv (3.4)",
        early=measured("kept, in order"),
        duplicate=measured("OK, kept, not consumed"),
        unknown=measured("DBOSNonExistentWorkflowError"),
        late=measured("OK, kept"),
        waiting_holds=measured("one thread, about 40 kB"),
        timeout=measured("asked for 2 s, got 2.02 s"),
        policy=FinishPolicy(early="buffer", duplicate="accept", late="accept"),
        operations=measured("1 a check, 12 a callback"),
        check_operations=1,
        callback_operations=12,
    ),
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
