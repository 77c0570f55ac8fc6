"""Errors as problem documents (RFC 9457) that say what to do.

Answers to a finish as HTTP says them, and what to do next, for people and programs.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from asyncsim.engine.waits import Answer
from asyncsim.errors import AsyncsimError, StoreError

STATUS: dict[Answer, int] = {
    Answer.FINISHED: 204,
    Answer.BUFFERED: 202,
    Answer.IGNORED_EARLY: 204,
    Answer.ACCEPTED_DUPLICATE: 204,
    Answer.ACCEPTED_LATE: 204,
    Answer.IGNORED_UNKNOWN: 204,
    Answer.EARLY: 409,
    Answer.DUPLICATE: 409,
    Answer.LATE: 410,
    Answer.UNKNOWN: 404,
}
"""Only the 204 of a finished step is documented by the vendor of K2; the others are ours."""

KIND_OF = {
    Answer.EARLY: "early",
    Answer.DUPLICATE: "duplicate",
    Answer.LATE: "late",
    Answer.UNKNOWN: "unknown",
}
"""The kind of finish that is turned away with an answer; see `asyncsim.model.profiles`."""

ADVICE: dict[Answer, str] = {
    Answer.EARLY: "The step has made its call and does not wait yet: try again in a moment.",
    Answer.DUPLICATE: "Nothing to do: the step was finished before, and has resumed once.",
    Answer.LATE: "Do not try again: the wait is over. Look at its instance to see how it went on.",
    Answer.UNKNOWN: "Check the number: it is the instance, an underscore, the step's activation.",
}
"""What the sender should do about an answer that turns it away."""


def advice(answer: Answer, serial_number: str, started: int) -> str:
    """Return what to do about an answer, if so many instances have started."""
    found = re.fullmatch(r"([1-9]\d{0,8})_\d{1,9}", serial_number, re.ASCII)
    if answer is Answer.UNKNOWN and found and int(found[1]) > started:
        return f"Instance {found[1]} has not started yet: try again later."
    return ADVICE[answer]


MEDIA_TYPE = "application/problem+json"
PAUSE = 5
"""Seconds after which a client may try again."""

logger = logging.getLogger("asyncsim")


class ProblemDocument(BaseModel):
    """What went wrong, and what to do about it."""

    type: str = "about:blank"
    title: str = Field(description="The kind of problem.")
    status: int = Field(description="The HTTP status code.")
    detail: str = Field(description="What happened, and what to do next.")
    instance: str = Field(description="The path that was asked for.")


class Problem(Exception):
    """Raised where a request cannot be fulfilled.

    Parameters
    ----------
    status, detail
        HTTP status, and what happened and what to do next.
    title
        The kind of problem; by default the words that go with the status.
    headers
        Headers of the answer.
    """

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        title: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.title = title or HTTPStatus(status).phrase
        self.headers = headers

    def answer(self, path: str) -> JSONResponse:
        """Return the document, for the path that was asked for."""
        document = ProblemDocument(
            title=self.title, status=self.status, detail=self.detail, instance=path
        )
        return JSONResponse(
            document.model_dump(), self.status, headers=self.headers, media_type=MEDIA_TYPE
        )

    def as_http(self, path: str) -> bytes:
        """Return the last answer of a connection, byte for byte."""
        answer = self.answer(path)
        lines = [f"HTTP/1.1 {self.status} {HTTPStatus(self.status).phrase}".encode()]
        lines += [name + b": " + value for name, value in answer.raw_headers]
        return b"\r\n".join([*lines, b"connection: close", b"", bytes(answer.body)])


def come_again(detail: str, **headers: str) -> Problem:
    """Return the problem of a request that may be sent again in a while."""
    again = {"Retry-After": str(PAUSE)}
    return Problem(503, f"{detail} Try again in {PAUSE} s.", headers=again | headers)


def described(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return problem documents of some statuses as OpenAPI describes them."""
    schema = {"$ref": "#/components/schemas/ProblemDocument"}
    return {
        status: {
            "description": HTTPStatus(status).phrase,
            "content": {MEDIA_TYPE: {"schema": schema}},
        }
        for status in statuses
    }


def answer_problems(app: FastAPI, closed: Callable[[], bool]) -> None:
    """Answer every error of an application by a problem document.

    Parameters
    ----------
    app
        The application.
    closed
        Returns whether the session behind it is closed.
    """

    def where(request: Request) -> str:
        return str(request.scope["path"])  # the URL would be made of whatever host was sent

    async def problem(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, Problem)
        return error.answer(where(request))

    async def invalid(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)
        first = error.errors()[0]
        part = " ".join(str(one) for one in first["loc"])
        problem = Problem(400, f"{part}: {first['msg']}. See the description.")
        return problem.answer(where(request))

    async def http(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, HTTPException)
        known = "The paths are described at /docs."
        detail = {
            404: f"There is nothing at this path. {known}",
            405: f"This path does not take {request.method}. {known}",
        }.get(error.status_code, str(error.detail))
        return Problem(error.status_code, detail, headers=error.headers).answer(where(request))

    async def refused(request: Request, error: Exception) -> JSONResponse:
        if closed():
            problem = come_again("The session is closed; nothing was done.")
        elif isinstance(error, StoreError):
            logger.warning("%s %s: %s", request.method, where(request), error)
            problem = come_again(
                "The session's store cannot be used now, and nothing was done. "
                "The server's log says why."
            )
        else:
            problem = Problem(409, f"{error}.")
        return problem.answer(where(request))

    async def left(request: Request, error: Exception) -> JSONResponse:
        words = "the client left, or took too long, before its request was complete"
        logger.info("%s %s: %s", request.method, where(request), words)
        return Problem(400, f"{words.capitalize()}.").answer(where(request))  # nobody reads it

    async def broken(request: Request, error: Exception) -> JSONResponse:
        words = "The server has failed; what it was asked for may have been done. See its log."
        return Problem(500, words).answer(where(request))

    app.add_exception_handler(AsyncsimError, refused)
    app.add_exception_handler(ClientDisconnect, left)
    app.add_exception_handler(Exception, broken)
    app.add_exception_handler(Problem, problem)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, http)
