"""HTTP under an endpoint: errors as problem documents (RFC 9457), and the server.

The server is uvicorn, with a limit to waiting. Hostile or broken clients open connections and send
nothing, or a byte now and then. A client that keeps the server waiting for longer than its patience
gets a 408, and when too many connections wait, those that have waited longest end first.
"""

from __future__ import annotations

import asyncio
import functools
import ipaddress
import logging
import re
import socket
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from html import unescape
from http import HTTPStatus
from typing import Any

import uvicorn
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from asyncsim.errors import AsyncsimError, EngineError, SerialNumberError, StoreError
from asyncsim.live.session import Session
from asyncsim.live.setup import STATUS, advice

logger = logging.getLogger("asyncsim")

MEDIA_TYPE = "application/problem+json"
PAUSE = 5  # seconds after which a client may try again
MOST_WAITING = 500  # connections that wait for their client; a process may often open 1,024 files
STOPS = "The server stops;"
HEADER = re.compile(r"(\[[^\[\]\s]*\]|[^\[\]:/@\s]+)(?::\d*)?", re.ASCII)
LOOPBACK = ("localhost", "127.0.0.1", "::1")


class ProblemDocument(BaseModel):
    """What went wrong, and what to do about it."""

    type: str = "about:blank"
    title: str = Field(description="The kind of problem.")
    status: int = Field(description="The HTTP status code.")
    detail: str = Field(description="What happened, and what to do next.")
    instance: str = Field(description="The path that was asked for.")


class Problem(HTTPException):
    """Raised where a request cannot be fulfilled; `detail` states the reason and the next step."""

    title = ""  # by default, that of the status

    def answer(self, path: str) -> JSONResponse:
        """Return the document, for the path that was asked for."""
        status = HTTPStatus(self.status_code)
        words = {"title": self.title or status.phrase, "detail": self.detail, "instance": path}
        document = ProblemDocument(status=status, **words).model_dump()
        return JSONResponse(document, status, headers=self.headers, media_type=MEDIA_TYPE)

    def as_http(self, path: str) -> bytes:
        """Return the last answer of a connection, byte for byte."""
        answer = self.answer(path)
        status = HTTPStatus(self.status_code)
        lines = [f"HTTP/1.1 {status} {status.phrase}".encode()]
        lines += [name + b": " + value for name, value in answer.raw_headers]
        return b"\r\n".join([*lines, b"connection: close", b"", bytes(answer.body)])


def unavailable(detail: str, **headers: str) -> Problem:
    """Return the problem of a request that may be sent again in a while."""
    again = {"Retry-After": str(PAUSE)}
    return Problem(503, f"{detail} Try again in {PAUSE} s.", headers=again | headers)


def described_problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return problem documents of some statuses as OpenAPI describes them."""
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemDocument"}}}
    return {one: {"description": HTTPStatus(one).phrase, "content": content} for one in statuses}


@contextmanager
def problem(status: int, kind: type[AsyncsimError]) -> Iterator[None]:
    """Answer errors of a kind with a status."""
    try:
        yield
    except kind as error:
        raise Problem(status, _sentence(error)) from None


def _sentence(error: Exception) -> str:
    text = str(error)
    return text if text.endswith("?") else f"{text}."


def answer_problems(app: FastAPI, session: Session) -> None:
    """Answer every error of an application by a problem document, and describe it so."""

    async def answer(request: Request, error: Exception) -> JSONResponse:
        problem = _problem_of(request, error, session)
        return problem.answer(request.scope["path"])  # the URL would contain the host that was sent

    for kind in (AsyncsimError, HTTPException, RequestValidationError, ClientDisconnect, Exception):
        app.add_exception_handler(kind, answer)
    plain = app.openapi

    def openapi() -> dict[str, Any]:
        whole = plain()  # made once, so what is changed here stays changed
        whole["info"]["title"] = unescape(app.title)
        schemas = whole["components"]["schemas"]
        for own in ("HTTPValidationError", "ValidationError"):
            schemas.pop(own, None)
        schemas["ProblemDocument"] = ProblemDocument.model_json_schema()
        for path in whole["paths"].values():
            for operation in path.values():
                own = operation["responses"].get("422", {}).get("content", {})
                if "application/json" in own:
                    del operation["responses"]["422"]
        return whole

    app.openapi = openapi  # type: ignore[method-assign]


def _problem_of(request: Request, error: Exception, session: Session) -> Problem:
    where, known = f"{request.method} {request.scope['path']}", "The paths are described at /docs."
    match error:
        case Problem():
            return error
        case RequestValidationError():
            first = error.errors()[0]
            part = " ".join(str(one) for one in first["loc"])
            return Problem(400, f"{part}: {first['msg']}. See the description.")
        case HTTPException():
            detail = {
                404: f"There is nothing at this path. {known}",
                405: f"This path does not take {request.method}. {known}",
            }.get(error.status_code, str(error.detail))
            return Problem(error.status_code, detail, headers=error.headers)
        case AsyncsimError() if session.store.closed:
            return unavailable("The session is closed; nothing was done.")
        case SerialNumberError():
            answer = next(one for one in STATUS if one.error is type(error))
            number = request.path_params.get("serialNumber", "")
            next_step = advice(answer, number, session.instances_count)
            refused = Problem(session.setup.status_of(answer), f"{_sentence(error)} {next_step}")
            refused.title = session.setup.title_of(answer)
            return refused
        case StoreError():
            logger.warning("%s: %s", where, error)
            unusable = "The session's store cannot be used now, and nothing was done."
            return unavailable(f"{unusable} The server's log says why.")
        case EngineError():
            logger.error("%s: %s", where, error, exc_info=error)
            return Problem(500, f"The session has failed: {error}. See the server's log.")
        case AsyncsimError():
            return Problem(409, _sentence(error))
        case ClientDisconnect():
            words = "the client left, or took too long, before its request was complete"
            logger.info("%s: %s", where, words)
            return Problem(400, f"{words.capitalize()}.")  # the client has gone
        case _:
            words = "The server has failed; what it was asked for may have been done. See its log."
            return Problem(500, words)


class Hosts:
    """The hosts an endpoint answers to: others may be pages of other sites (DNS rebinding)."""

    def __init__(self, host: str, address: str, allowed: Iterable[str] = ()) -> None:
        names = [*LOOPBACK, host, address, *allowed]
        if ipaddress.ip_address(address).is_unspecified:
            own = socket.gethostname()
            names += [own, own.partition(".")[0], own.partition(".")[0] + ".local"]
        self._names = {_normal_form(name) for name in names}

    def refused(self, scope: Mapping[str, Any]) -> str | None:
        """Return the host that a request names, if it is not one of these; it may name none."""
        # The address of this connection is the machine's own, on any of its interfaces
        own = _normal_form(scope["server"][0]) if scope["server"] else None
        for name, value in scope["headers"]:
            if name == b"host":
                header: str = value.decode("latin-1")
                found = HEADER.fullmatch(header)
                if found is None or _normal_form(found[1]) not in {*self._names, own}:
                    return header
        return None


def _normal_form(host: str) -> str:
    text = host.lower().strip("[]").partition("%")[0].removesuffix(".")
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return text


def _then_update(name: str) -> Any:
    """Return a method of uvicorn's connection after which it may be the other side's turn."""

    def method(self: Connection, *given: Any) -> None:
        getattr(H11Protocol, name)(self, *given)
        self._update_waiting()

    return method


class Connection(H11Protocol):
    """A connection that ends when its client keeps the server waiting over `patience` seconds."""

    def __init__(
        self,
        *args: Any,
        waiting: dict[Connection, asyncio.TimerHandle],
        patience: float,
        **more: Any,
    ) -> None:
        super().__init__(*args, **more)
        self._waiting = waiting
        self._patience = patience

    connection_made = _then_update("connection_made")
    data_received = _then_update("data_received")
    on_response_complete = _then_update("on_response_complete")
    pause_writing = _then_update("pause_writing")
    resume_writing = _then_update("resume_writing")

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting."""
        super().connection_lost(exc)
        self._stop_waiting()

    def _update_waiting(self) -> None:
        """Wait while it is the client's turn; a single byte does not restart the time."""
        cycle = self.cycle
        if not (
            cycle is None
            or cycle.more_body
            or cycle.response_complete
            or self.flow.write_paused
            or self.transport.is_closing()  # while what is written has not been read
        ):
            self._stop_waiting()
        elif self not in self._waiting:
            self._waiting[self] = self.loop.call_later(self._patience, self._give_up)
            if len(self._waiting) > MOST_WAITING:
                next(iter(self._waiting))._give_up()

    def _stop_waiting(self) -> None:
        timer = self._waiting.pop(self, None)
        if timer is not None:
            timer.cancel()

    def _give_up(self) -> None:
        self._stop_waiting()
        words = f"The request was not complete in time ({self._patience:g} s, less in a crowd)."
        self._end(Problem(408, words), self._next_has_begun())

    def _next_has_begun(self) -> bool:
        return bool(self.conn.trailing_data[0]) and not (self.cycle and self.cycle.more_body)

    def _end(self, problem: Problem, next_has_begun: bool) -> None:
        """Close the connection; answer a request that has begun to arrive with a problem."""
        cycle = self.cycle
        answered = cycle is None or cycle.response_complete
        begun = next_has_begun if answered else not cycle.response_started
        if self.transport.is_closing() or self.transport.get_write_buffer_size():
            self.transport.abort()  # the client does not read; to close would wait for it
        elif begun:
            self.transport.write(problem.as_http("/" if answered else cycle.scope["path"]))
        self.transport.close()
        if not answered:  # informs the application; its answer is discarded
            cycle.disconnected = True
            cycle.message_event.set()

    def send_400_response(self, msg: str) -> None:
        """Answer what cannot be parsed as HTTP, unless its request was answered already."""
        begun = not (self.cycle and self.cycle.more_body)
        self._end(Problem(400, "This is not an HTTP request, or its head is too long."), begun)

    def shutdown(self) -> None:
        """Shut down gracefully: a complete request is answered, and the answer is sent."""
        cycle = self.cycle
        open_ = cycle and not cycle.response_complete
        if open_ and (cycle.response_started or not cycle.more_body):
            cycle.keep_alive = False
        elif self.transport.get_write_buffer_size():
            self.transport.close()  # when all of it has been read
        else:
            self._end(unavailable(f"{STOPS} nothing was done."), self._next_has_begun())


class Server(uvicorn.Server):
    """Serves an application to requests for its hosts; others get a 421. See `Connection`."""

    def __init__(self, app: ASGIApp, hosts: Hosts, patience: float) -> None:
        self._app = app
        self._hosts = hosts
        waiting: dict[Connection, asyncio.TimerHandle] = {}
        connection: Any = functools.partial(Connection, waiting=waiting, patience=patience)
        quiet: Any = {"ws": "none", "lifespan": "off", "log_level": "warning", "access_log": False}
        super().__init__(uvicorn.Config(self._answer, interface="asgi3", http=connection, **quiet))

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave Ctrl-C to the owner of the loop: a notebook's kernel, or the command line."""
        yield

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve until the server is stopped, or its loop ends."""
        try:
            await super().serve(sockets)
        finally:
            for listener in sockets or []:
                listener.close()

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        path, app = scope["path"], self._app
        host = self._hosts.refused(scope)
        if self.should_exit:
            app = unavailable(f"{STOPS} nothing was done.", Connection="close").answer(path)
        elif "\0" in path:  # some releases of Starlette fail on such a path
            app = Problem(404, "Nothing here has a NUL in its name.").answer(path)
        elif host is not None:
            words = (
                f"This endpoint does not answer to the host {host!r:.100}. Take the address that "
                "was printed when it was started, or start it with "
                "serve(allowed_hosts=['NAME']) or asyncsim serve --allow-host NAME."
            )
            app = Problem(421, words).answer(path)
        try:
            await app(scope, receive, send)
        except asyncio.CancelledError:  # the loop ends, and the server was not stopped before
            cut = unavailable(f"{STOPS} what was asked for may have been done.", Connection="close")
            with suppress(RuntimeError):  # an answer has begun
                await cut.answer(path)(scope, receive, send)
