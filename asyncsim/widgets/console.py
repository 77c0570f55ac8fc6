"""What a console shows, made from a live session without any page.

The console of a live session: people finish waiting steps by their serial number.
"""

from __future__ import annotations

import json
import math
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd
import traitlets

from asyncsim.engine.waits import Answer
from asyncsim.errors import ScenarioError, SerialNumberError
from asyncsim.live.journal import data_fields
from asyncsim.live.session import AnswerLogEntry, Session
from asyncsim.live.setup import advice
from asyncsim.model.units import DAY, meant, text_of
from asyncsim.widgets.base import SHORT, FieldError, SessionWidget, pieces

ROWS = 20
"""Records on one page."""
LOGGED = 40
"""Answers that are shown, the latest first."""
BY_TEXT = {answer.text: answer for answer in Answer}
HAPPENED = {  # where the sender is told that all is well
    Answer.FINISHED: "is finished: its process goes on.",
    Answer.BUFFERED: "does not wait yet: the finish is kept until it does.",
    Answer.IGNORED_EARLY: "does not wait yet: accepted without effect, so finish it again later.",
    Answer.ACCEPTED_DUPLICATE: "was finished before: accepted again, without effect.",
    Answer.ACCEPTED_LATE: "does not wait any more: accepted, without effect.",
    Answer.IGNORED_UNKNOWN: "is not known: accepted without effect, so check the number.",
}
OTHER_DEEDS = {
    "complete": "was declared complete: the strategy does the rest.",
    "heartbeat": "gave a sign of life.",
    "retry": "is retried: the step now waits as {}.",
}


class ConsoleState:
    """What a console shows of a session, and what is chosen in it.

    Parameters
    ----------
    session
        Made by `asyncsim.live`.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._like, self._first = "", 0
        self._chosen = ""
        self._last_said: AnswerLogEntry | None = None
        self._count = 0
        self._answers: deque[dict[str, Any]] = deque(maxlen=LOGGED)
        self._source = session.answers_given

    # --- what a person does -----------------------------------------------------------------------

    def turn_to(self, like: str, first: int) -> None:
        """Turn to a page of the records that fit a text."""
        self._like, self._first = like.strip(), max(first, 0)

    def choose(self, serial_number: str) -> None:
        """Choose the number whose fate is shown, or none."""
        self._chosen = serial_number.strip()

    def finish(self, serial_number: str, fields: Iterable[Sequence[str]]) -> None:
        """Finish a step; the answer is in the log.

        Raises
        ------
        FieldError
            If a field is not as it must be, or the number is turned away.
        """
        number = _given(serial_number)
        self.choose(number)
        data = fields_of(fields)
        answer = self._session.finish(number, data or None, strict=False)
        if answer.error is not None:
            raise FieldError("number", self._words(answer, number))

    def retry(self, serial_number: str) -> str:
        """Enter a step once more, as an operator does; return the message about it."""
        new = self._session.retry(_given(serial_number))
        self.choose(new)
        return f"Retried: the step now waits as {new}"

    def start(self, fields: Iterable[Sequence[str]]) -> str:
        """Start an instance; return the message about it."""
        return f"instance {self._session.start(fields_of(fields))} has started"

    # --- what is shown ----------------------------------------------------------------------------

    def shown(self) -> dict[str, Any]:
        """Return everything that is shown, by name."""
        with self._session.store.lock:  # one moment, not several
            return {
                "records": self.records(),
                "fates": {"number": self._chosen, "rows": self.twin_states()},
                "answers": self.answers(),
            }

    def records(self) -> dict[str, Any]:
        """Return the page of waiting records."""
        total, table = self._session.page(self._like, self._first, ROWS)
        if self._first >= total and self._first:
            self._first = max(total - 1, 0) // ROWS * ROWS
            total, table = self._session.page(self._like, self._first, ROWS)
        since = [f"{moment:{SHORT}}" for moment in table["armed_at"]]
        columns = (table[name] for name in ("serial_number", "process", "step", "system"))
        rows = [list(row) for row in zip(*columns, since, strict=True)]
        return {
            "like": self._like,
            "first": self._first,
            "most": ROWS,
            "total": total,
            "waiting": self._session.waiting_count,
            "rows": rows,
        }

    def twin_states(self) -> list[list[str]]:
        """Return how the chosen step stands under each strategy: label and words."""
        if not self._chosen:
            return []
        try:
            table = self._session.beside(self._chosen)
        except SerialNumberError:
            return []
        return [
            [str(row["strategy"]), fate(row, self._session.now)]
            for row in table.to_dict(orient="records")
        ]

    def answers(self) -> list[dict[str, Any]]:
        """Return the latest answers to what came from outside, the latest first."""
        if self._source is not self._session.answers_given:  # the session was reset
            self._source = self._session.answers_given
            self._answers.clear()
        new: list[AnswerLogEntry] = []
        for said in reversed(self._session.answers_given):
            if said is self._last_said or len(new) == LOGGED:
                break
            new.append(said)
        for said in reversed(new):
            self._count += 1
            self._answers.appendleft(self._entry(said))
        if new:
            self._last_said = new[0]
        return list(self._answers)

    def _entry(self, said: AnswerLogEntry) -> dict[str, Any]:
        answer = BY_TEXT.get(said.answer)
        number = said.serial_number
        if answer is not None:
            code = self._session.setup.status_of(answer)
            words = self._words(answer, str(number))
        elif said.kind == "start":
            code, words = 201, f"Instance {said.answer} has started."
        else:
            words = OTHER_DEEDS.get(said.kind, said.answer).format(said.answer)
            code, words = 200, f"{number} {words}"
        at = f"{self._session.timestamp(said.instant):{SHORT}}"
        data = json.dumps(said.data, ensure_ascii=False) if said.data else ""
        return {"key": self._count, "at": at, "code": code, "words": words, "data": data}

    def _words(self, answer: Answer, number: str) -> str:
        """Say what has happened and what to do now."""
        if answer in HAPPENED:
            return f"{number} {HAPPENED[answer]}"
        did_you_mean = ""
        if answer is Answer.UNKNOWN:
            with self._session.store.lock:
                guess = meant(number, self._session.lane().waits.like(number))
            did_you_mean = f" Did you mean {guess!r}?" if guess else ""
        now = advice(answer, number, self._session.instances_count)
        return f"{number}: {answer.text}.{did_you_mean} {now}"


def fate(row: Mapping[Any, Any], now: float) -> str:
    """Say how a step stands under one strategy; `row` is one of `Session.beside`."""
    state, checks = row["state"], int(row["checks"])
    asked = f" ({checks} check{'' if checks == 1 else 's'} so far)" if checks else ""
    if state == "resumed":
        words = f"went on at {row['resumed_at']:%H:%M:%S}"
        if row["latency"] == 0:
            words += ", the moment the work was complete"
        elif row["latency"] > 0:
            words += f", {_length(row['latency'])} after the work was complete"
        return words + asked.replace(" so far", "")
    if state != "waiting":
        return str(state)
    words = "still waiting"
    if not math.isnan(row["completed"]):
        words += f", though the work is complete since {row['completed_at']:%H:%M:%S}"
    if not pd.isna(row["next_check_at"]):
        words += f"; next check {_moment(row['next_check_at'], row['next_check'] - now)}"
    return words + asked


def _moment(at: pd.Timestamp, ahead: float) -> str:
    return f"{at:%H:%M:%S}" if ahead < DAY else f"{at:{SHORT}}"


def _length(seconds: float) -> str:
    return text_of(round(seconds, 3 if seconds < 10 else 0))


def _given(serial_number: str) -> str:
    number = serial_number.strip()
    if not number:
        text = "a serial number is needed, such as 5_31: type one, or pick a record"
        raise FieldError("number", text)
    return number


def fields_of(pairs: Iterable[Sequence[str]]) -> dict[str, Any]:
    """Return data fields from names and values as they were typed.

    Raises
    ------
    FieldError
        If a value has no name or is malformed JSON, or two have the same name.
    """
    fields: dict[str, Any] = {}
    for k, (typed, text) in enumerate(pairs, 1):
        name = typed.strip()
        if not name and not text.strip():
            continue
        if not name:
            raise FieldError(f"name {k}", f"data field with the value {text!r:.40} needs a name")
        if name in fields:
            raise FieldError(f"name {k}", f"data field {name!r} is given twice")
        try:
            fields[name] = value_of(text)
        except ScenarioError as problem:
            raise FieldError(f"value {k}", str(problem)) from None
    try:
        return data_fields(fields)
    except ScenarioError as problem:
        raise FieldError("fields", str(problem)) from None


def value_of(text: str) -> Any:
    """Return what was typed as JSON would read it, or else as the text it is.

    Raises
    ------
    ScenarioError
        If it begins as JSON does, and is not valid.
    """

    def scenario_error(constant: str) -> None:
        raise ValueError(f"{constant} is not JSON")

    try:
        return json.loads(text, parse_constant=scenario_error)
    except (ValueError, RecursionError) as problem:
        if not text.lstrip().startswith(tuple('{["')):
            return text
        why: object = problem
        if isinstance(problem, json.JSONDecodeError):
            why = f"{problem.msg} at character {problem.pos + 1}"
        raise ScenarioError(
            f"value looks like JSON but is not ({why}); to send it as text, put it in double "
            f"quotes; got {text!r:.40}"
        ) from None


class Console(SessionWidget):
    """A page of waiting records, a form that finishes them, and the answers.

    Parameters
    ----------
    session
        Made by `asyncsim.live`.

    Examples
    --------
    >>> session = sim.live(scenario, against=sim.Polling("15min"), hold=True)  # doctest: +SKIP
    >>> session.console()                                                      # doctest: +SKIP
    """

    _esm = pieces("elements.js", "clock.js", "console.js")

    records = traitlets.Dict().tag(sync=True)
    """One page of the waiting records, and how many there are."""
    twin_states = traitlets.Dict().tag(sync=True)
    """How the chosen number stands under each strategy."""
    answers: traitlets.List[dict[str, Any]] = traitlets.List().tag(sync=True)
    """What came from outside lately and what it was answered, the latest first."""

    def __init__(self, session: Session) -> None:
        self.state = ConsoleState(session)
        super().__init__(session)
        self.refresh()

    def refresh(self) -> None:
        """Show how things stand; only what has changed is sent."""
        with self.hold_sync():
            super().refresh()
            for name, value in self.state.shown().items():
                setattr(self, name, value)

    def do(self, deed: str, message: Mapping[str, Any]) -> None:
        """Do one thing that a page asks for."""
        number, fields = str(message.get("number", "")), message.get("fields", [])
        if deed == "finish":
            self.state.finish(number, fields)
        elif deed == "choose":
            self.state.choose(number)
        elif deed == "turn":
            self.state.turn_to(str(message.get("like", "")), int(message.get("first", 0)))
        elif deed == "retry":
            self.tell(self.state.retry(number))
        elif deed == "start":
            self.tell(self.state.start(fields))
        else:
            super().do(deed, message)
