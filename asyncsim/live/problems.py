"""Errors as problem documents (RFC 9457) that say what to do."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from asyncsim.errors import AsyncsimError

MEDIA_TYPE = "application/problem+json"


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

    def answer(self, request: Request) -> JSONResponse:
        """Return the document."""
        document = ProblemDocument(
            title=self.title, status=self.status, detail=self.detail, instance=request.url.path
        )
        return JSONResponse(
            document.model_dump(), self.status, headers=self.headers, media_type=MEDIA_TYPE
        )


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


def answer_problems(app: FastAPI) -> None:
    """Have every error of an application answered by a problem document."""

    async def problem(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, Problem)
        return error.answer(request)

    async def invalid(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)
        first = error.errors()[0]
        where = " ".join(str(part) for part in first["loc"])
        return Problem(400, f"{where}: {first['msg']}. See the description.").answer(request)

    async def http(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, HTTPException)
        known = "The paths are described at /docs."
        detail = {
            404: f"There is nothing at this path. {known}",
            405: f"This path does not take {request.method}. {known}",
        }.get(error.status_code, str(error.detail))
        return Problem(error.status_code, detail, headers=error.headers).answer(request)

    async def refused(request: Request, error: Exception) -> JSONResponse:
        return Problem(409, f"{error}.").answer(request)

    async def broken(request: Request, error: Exception) -> JSONResponse:
        words = "The server has failed; what it was asked for may have been done. See its log."
        return Problem(500, words).answer(request)

    app.add_exception_handler(AsyncsimError, refused)
    app.add_exception_handler(Exception, broken)
    app.add_exception_handler(Problem, problem)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, http)
