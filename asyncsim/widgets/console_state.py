"""The console without its looks: a page of waiting records, the answers, the clock."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from asyncsim.engine.waits import Answer
from asyncsim.errors import AsyncsimError
from asyncsim.live.codes import ADVICE
from asyncsim.live.session import Session

ROWS = 12
LOG_ROWS = 8
SPEEDS = (1, 10, 60, 600, 3600)


class ConsoleState:
    """What a person sees in the console of a session, and can do there.

    Parameters
    ----------
    session
        The session that is looked at.
    """

    def __init__(self, session: Session) -> None:
        self.session = session
        self.like = ""
        self.first = 0
        self.number = ""
        self.message = ""
        self.log: list[dict[str, Any]] = []

    # --- seeing -----------------------------------------------------------------------------------

    def picture(self) -> dict[str, Any]:
        """Return all that the page shows."""
        session = self.session
        total, page = session.page(self.like, self.first, ROWS)
        if self.first and page.empty:
            self.first = max(0, (total - 1) // ROWS * ROWS)
            total, page = session.page(self.like, self.first, ROWS)
        rows: Any = page.to_dict("records")
        return {
            "scenario": session.scenario.name,
            "now": f"{session.at:%a %Y-%m-%d %H:%M:%S}",
            "playing": session.playing,
            "speed": session.speed,
            "speeds": sorted({*SPEEDS, session.speed}),
            "waiting": session.waiting_count,
            "total": total,
            "first": self.first,
            "most": ROWS,
            "like": self.like,
            "rows": [self._row(row) for row in rows],
            "log": self.log,
            "message": self.message,
            "beside": self._beside(),
        }

    def _row(self, row: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "number": row["serial_number"],
            "process": row["process"],
            "step": row["step"],
            "system": row["system"],
            "since": f"{row['armed_at']:%H:%M:%S}",
            "waited": lasting(row["waiting_for"]),
        }

    def _beside(self) -> dict[str, Any] | None:
        """Return how the number finished last stands under each strategy."""
        if not self.number or len(self.session.strategies) < 2:
            return None
        table = self.session.beside(self.number)
        rows: Any = table.to_dict("records")
        return {"number": self.number, "rows": [self._lane(row) for row in rows]}

    def _lane(self, row: Mapping[str, Any]) -> dict[str, str]:
        if row["state"] == "resumed":
            says = f"resumed at {row['resumed_at']:%H:%M:%S}, {lasting(row['latency'])} late"
        elif row["state"] == "waiting" and not math.isnan(row["next_check"]):
            says = f"still waiting, next check at {row['next_check_at']:%H:%M:%S}"
        else:
            says = row["state"]
        return {"strategy": row["strategy"], "says": says}

    # --- doing ------------------------------------------------------------------------------------

    def act(self, message: Mapping[str, Any]) -> None:
        """Do what a message of the page asks for; what goes wrong is said in its log."""
        acts: dict[str, Callable[..., None]] = {
            "finish": self.finish,
            "retry": self.retry,
            "start": self.start,
            "show": self.show,
            "play": self.play,
            "pause": self.pause,
            "step": self.step,
            "run until": self.run_until,
            "next batch": self.next_batch,
            "speed": self.speed,
        }
        self.message = ""
        try:
            acts[message["do"]](**{k: v for k, v in message.items() if k != "do"})
        except AsyncsimError as error:
            self.message = str(error)

    def show(self, like: str | None = None, first: int = 0) -> None:
        """Turn to a page, or filter."""
        if like is not None:
            self.like = like
        self.first = max(first, 0)

    def finish(self, number: str, fields: Sequence[Sequence[str]] = ()) -> None:
        """Finish a step by its number, with data fields as a person writes them."""
        number = number.strip()
        answer = self.session.finish(number, fields_of(fields), strict=False)
        if self.session.knows(number):
            self.number = number
        told = ADVICE.get(answer, "The process moves on." if answer is Answer.FINISHED else "")
        self._note(number, self.session.setup.status_of(answer), f"{answer.text}. {told}")

    def retry(self, number: str, call: bool = True) -> None:
        """Enter a step once more."""
        new = self.session.retry(number.strip(), call=call)
        self._note(number, 200, f"tried again; it waits as {new}")

    def start(self, fields: Sequence[Sequence[str]] = ()) -> None:
        """Start an instance."""
        number = self.session.start(fields_of(fields))
        self._note("", 201, f"instance {number} started")

    def _note(self, number: str, code: int, text: str) -> None:
        at = f"{self.session.at:%H:%M:%S}"
        self.log = [{"at": at, "number": number, "code": code, "text": text}, *self.log[:LOG_ROWS]]

    def play(self) -> None:
        """Let the clock run."""
        self.session.play()

    def pause(self) -> None:
        """Let the clock stand still."""
        self.session.pause()

    def step(self) -> None:
        """Play the next instant at which anything happens."""
        if not self.session.step():
            self.message = "Nothing will happen any more by itself."

    def run_until(self, moment: str) -> None:
        """Play up to a moment."""
        self.session.run_until(moment.strip())

    def next_batch(self) -> None:
        """Play up to the next nightly batch."""
        self.session.run_to_next_batch()

    def speed(self, value: float) -> None:
        """Set how fast the clock runs."""
        self.session.speed = value


def fields_of(rows: Sequence[Sequence[str]]) -> dict[str, Any] | None:
    """Return data fields from names and values as a person writes them: JSON, or else text."""
    fields = {}
    for name, value in rows:
        if name.strip():
            try:
                fields[name.strip()] = json.loads(value)
            except ValueError:
                fields[name.strip()] = value
    return fields or None


def lasting(seconds: float) -> str:
    """Return a length of time as a person says it."""
    if seconds < 60:
        return f"{seconds:.2g} s" if seconds < 9.95 else f"{seconds:.0f} s"
    minutes = seconds / 60
    return f"{minutes:.0f} min" if minutes < 100 else f"{minutes / 60:.1f} h"
