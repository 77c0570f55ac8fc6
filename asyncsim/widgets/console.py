"""The console of a live session: users finish waiting steps by their serial number."""

from __future__ import annotations

import json
import math
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice, takewhile
from typing import Any

import pandas as pd
import traitlets

from asyncsim.engine.waits import Answer
from asyncsim.errors import ScenarioError, SerialNumberError
from asyncsim.live.journal import data_fields
from asyncsim.live.session import AnswerLogEntry, Session
from asyncsim.live.setup import advice
from asyncsim.model.units import DAY, meant, text_of
from asyncsim.widgets.base import SHORT_TIME, FieldError, SessionWidget, read_assets

ROWS = 20  # per page
LOGGED = 40  # answers shown
BY_TEXT = {answer.text: answer for answer in Answer}
ACCEPTED = {
    Answer.FINISHED: "is finished; its process resumes.",
    Answer.BUFFERED: "is not waiting yet; the finish is kept until it is.",
    Answer.IGNORED_EARLY: "is not waiting yet; accepted without effect, so finish it again later.",
    Answer.ACCEPTED_DUPLICATE: "was already finished; accepted again without effect.",
    Answer.ACCEPTED_LATE: "is no longer waiting; accepted without effect.",
    Answer.IGNORED_UNKNOWN: "is unknown; accepted without effect, so check the number.",
    Answer.KEPT_DUPLICATE: "was already finished; kept for the next wait of its step.",
    Answer.KEPT_LATE: "is no longer waiting; kept for the next wait of its step.",
    Answer.STARTED_EARLY: "is not waiting yet, and goes on; the finish started another run.",
    Answer.STARTED_DUPLICATE: "was already finished; the finish started another run.",
    Answer.STARTED_LATE: "is no longer waiting; the finish started another run.",
    Answer.STARTED_UNKNOWN: "is unknown; the finish started another run.",
}  # what an accepted finish did
OTHER_ACTIONS = {
    "complete": "was marked complete; the strategy notices it.",
    "heartbeat": "sent a heartbeat.",
    "retry": "was retried; the step now waits as {}.",
}


class Console(SessionWidget):
    """A page of waiting records, a form that finishes them, and a log of the answers."""

    _esm = read_assets("elements.js", "clock.js", "console.js")

    records = traitlets.Dict().tag(sync=True)  # one page of the waiting records, and their number
    twin_states = traitlets.Dict().tag(sync=True)  # state of the chosen number under each strategy
    answers: traitlets.List[dict[str, Any]] = traitlets.List().tag(sync=True)
    """The latest inputs from outside and their answers, newest first."""

    def __init__(self, session: Session) -> None:
        self._like, self._first = "", 0
        self._chosen = ""  # the number whose state under each strategy is shown
        self._log: deque[dict[str, Any]] = deque(maxlen=LOGGED)
        self._logged = 0
        self._latest: AnswerLogEntry | None = None
        self._source = session.answers_given
        super().__init__(session)
        self.refresh()

    def refresh(self) -> None:
        """Send what has changed to the page."""
        with self.hold_sync(), self.session.store.lock:  # all of it at the same moment
            super().refresh()
            self.records = self._page()
            self.twin_states = {"number": self._chosen, "rows": self._states()}
            self.answers = self._answers()

    def act(self, action: str, message: Mapping[str, Any]) -> None:
        """Perform an action of the page."""
        number, fields = str(message.get("number", "")).strip(), message.get("fields", [])
        if action in ("finish", "retry") and not number:
            text = "a serial number is needed, such as 5_31: enter one, or select a record"
            raise FieldError("number", text)
        match action:
            case "finish":
                self._chosen = number
                answer = self.session.finish(number, fields_of(fields) or None, strict=False)
                if answer.error is not None:
                    raise FieldError("number", self._sentence(answer, number))
            case "choose":
                self._chosen = number
            case "turn":
                self._like = str(message.get("like", "")).strip()
                self._first = max(int(message.get("first", 0)), 0)
            case "retry":
                self._chosen = self.session.retry(number)
                self.notify(f"Retried: the step now waits as {self._chosen}")
            case "start":
                self.notify(f"Instance {self.session.start(fields_of(fields))} has started")
            case _:
                super().act(action, message)

    def _page(self) -> dict[str, Any]:
        total, table = self.session.page(self._like, self._first, ROWS)
        if self._first >= total and self._first:
            self._first = max(total - 1, 0) // ROWS * ROWS
            total, table = self.session.page(self._like, self._first, ROWS)
        since = [f"{moment:{SHORT_TIME}}" for moment in table["armed_at"]]
        columns = (table[name] for name in ("serial_number", "process", "step", "system"))
        return {
            "like": self._like,
            "first": self._first,
            "most": ROWS,
            "total": total,
            "waiting": self.session.waiting_count,
            "rows": [list(row) for row in zip(*columns, since, strict=True)],
        }

    def _states(self) -> list[list[str]]:
        if not self._chosen:
            return []
        try:
            table = self.session.beside(self._chosen)
        except SerialNumberError:
            return []
        return [
            [str(row["strategy"]), state_in_words(row, self.session.now)]
            for row in table.to_dict(orient="records")
        ]

    def _answers(self) -> list[dict[str, Any]]:
        given = self.session.answers_given
        if self._source is not given:  # the session was reset
            self._source = given
            self._log.clear()
        new = list(islice(takewhile(lambda one: one is not self._latest, reversed(given)), LOGGED))
        for entry in reversed(new):
            self._logged += 1
            self._log.appendleft({"key": self._logged, **self._shown_entry(entry)})
            self._latest = entry
        return list(self._log)

    def _shown_entry(self, entry: AnswerLogEntry) -> dict[str, Any]:
        answer, number = BY_TEXT.get(entry.answer), entry.serial_number
        if answer is not None:
            code = self.session.setup.status_of(answer)
            words = self._sentence(answer, str(number))
        elif entry.kind == "start":
            code, words = 201, f"Instance {entry.answer} has started."
        else:
            words = OTHER_ACTIONS.get(entry.kind, entry.answer).format(entry.answer)
            code, words = 200, f"{number} {words}"
        at = f"{self.session.timestamp(entry.instant):{SHORT_TIME}}"
        data = json.dumps(entry.data, ensure_ascii=False) if entry.data else ""
        return {"at": at, "code": code, "words": words, "data": data}

    def _sentence(self, answer: Answer, number: str) -> str:
        """Return what happened to a finish, and what to do next."""
        if answer in ACCEPTED:
            return f"{number} {ACCEPTED[answer]}"
        did_you_mean = ""
        if answer is Answer.UNKNOWN:
            with self.session.store.lock:
                guess = meant(number, self.session.lane().waits.like(number))
            did_you_mean = f" Did you mean {guess!r}?" if guess else ""
        next_step = advice(answer, number, self.session.instances_count)
        return f"{number}: {answer.text}.{did_you_mean} {next_step}"


def state_in_words(row: Mapping[Any, Any], now: float) -> str:
    """Return the state of a step under one strategy; `row` is one of `Session.beside`."""
    state, checks = row["state"], int(row["checks"])
    counted = f" ({checks} check{'' if checks == 1 else 's'}" if checks else ""
    if state == "resumed":
        words = f"resumed at {row['resumed_at']:%H:%M:%S}"
        if row["latency"] == 0:
            words += ", the moment the work was complete"
        elif row["latency"] > 0:
            late = row["latency"]
            late = text_of(round(late, 3 if late < 10 else 0))
            words += f", {late} after the work was complete"
        return words + (f"{counted})" if counted else "")
    if state != "waiting":
        return str(state)
    words = "still waiting"
    if not math.isnan(row["completed"]):
        words += f", although the work was complete at {row['completed_at']:%H:%M:%S}"
    if not pd.isna(row["next_check_at"]):
        ahead = row["next_check"] - now
        form = "%H:%M:%S" if ahead < DAY else SHORT_TIME
        words += f"; next check {row['next_check_at']:{form}}"
    return words + (f"{counted} so far)" if counted else "")


def fields_of(pairs: Iterable[Sequence[str]]) -> dict[str, Any]:
    """Return data fields from names and values as they were entered, or raise a FieldError."""
    fields: dict[str, Any] = {}
    for k, (entered, text) in enumerate(pairs, 1):
        name = entered.strip()
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
    """Return what a text means as JSON, or the text itself unless it is malformed JSON."""

    def not_json(constant: str) -> None:
        raise ValueError(f"{constant} is not JSON")

    try:
        return json.loads(text, parse_constant=not_json)
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
