"""The server behind an endpoint: uvicorn, which waits for no client for ever.

Hostile or broken clients open connections and send nothing, or a byte now and then. Whoever keeps
the server waiting for longer than its patience is turned away, and those that have waited longest
go first when there are too many.
"""

from __future__ import annotations

import asyncio
import functools
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from asyncsim.live.endpoint import Hosts
from asyncsim.live.problem_documents import Problem, come_again

MOST_WAITING = 500
"""Connections whose client is waited for; a process often may have 1,024 files open."""

STOPS = "The server stops;"


class Connection(H11Protocol):
    """A connection that ends when its client keeps the server waiting.

    Parameters
    ----------
    waiting
        All connections of the server whose client is waited for, the longest first.
    patience
        Seconds within which a request must arrive, and an answer must be taken.
    """

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

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a request."""
        super().connection_made(transport)
        self._look()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no more."""
        super().connection_lost(exc)
        self._wait_no_more()

    def data_received(self, data: bytes) -> None:
        """Take what has arrived; go on waiting if it is not a whole request."""
        super().data_received(data)
        self._look()

    def on_response_complete(self) -> None:
        """Begin to wait for the next request."""
        super().on_response_complete()
        self._look()

    def pause_writing(self) -> None:
        """Begin to wait for the client to read."""
        super().pause_writing()
        self._look()

    def resume_writing(self) -> None:
        """Wait no more for the client to read."""
        super().resume_writing()
        self._look()

    def _look(self) -> None:
        """Wait for the client exactly while it is its turn; a byte more does not begin it anew."""
        if not self._is_client_s_turn():
            self._wait_no_more()
        elif self not in self._waiting:
            self._waiting[self] = self.loop.call_later(self._patience, self._give_up)
            if len(self._waiting) > MOST_WAITING:
                next(iter(self._waiting))._give_up()

    def _is_client_s_turn(self) -> bool:
        cycle = self.cycle
        return (
            cycle is None
            or cycle.more_body
            or cycle.response_complete
            or self.flow.write_paused
            or self.transport.is_closing()  # while what is written has not been read
        )

    def _wait_no_more(self) -> None:
        timer = self._waiting.pop(self, None)
        if timer is not None:
            timer.cancel()

    def _give_up(self) -> None:
        self._wait_no_more()
        words = f"The request was not complete in time ({self._patience:g} s, less in a crowd)."
        self._end(Problem(408, words), self._next_has_begun())

    def _next_has_begun(self) -> bool:
        left = bool(self.conn.trailing_data[0])
        return left and not (self.cycle and self.cycle.more_body)  # else it is the last one's rest

    def _end(self, problem: Problem, next_has_begun: bool) -> None:
        """Close the connection; a request that has begun to arrive is answered by a problem."""
        cycle = self.cycle
        answered = cycle is None or cycle.response_complete
        begun = next_has_begun if answered else not cycle.response_started
        if self.transport.is_closing() or self.transport.get_write_buffer_size():
            self.transport.abort()  # the client does not read; to close would wait for it
        elif begun:
            self.transport.write(problem.as_http("/" if answered else cycle.scope["path"]))
        self.transport.close()
        if not answered:  # the application learns it, and what it answers goes nowhere
            cycle.disconnected = True
            cycle.message_event.set()

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP, unless it follows an answer within the same request."""
        begun = not (self.cycle and self.cycle.more_body)
        self._end(Problem(400, "This is no HTTP request, or its head is too long."), begun)

    def shutdown(self) -> None:
        """End in good order: a request that is complete is answered, and the answer is sent."""
        cycle = self.cycle
        if (
            cycle
            and not cycle.response_complete
            and (cycle.response_started or not cycle.more_body)
        ):
            cycle.keep_alive = False
        elif self.transport.get_write_buffer_size():
            self.transport.close()  # when all of it has been read
        else:
            self._end(come_again(f"{STOPS} nothing was done."), self._next_has_begun())


class Server(uvicorn.Server):
    """Serves an application on the hosts it answers to.

    Parameters
    ----------
    app
        What is served.
    hosts
        A request for another host is turned away.
    patience
        Seconds within which a request must arrive, and an answer must be taken.
    """

    def __init__(self, app: ASGIApp, hosts: Hosts, patience: float) -> None:
        self._app = app
        self._hosts = hosts
        waiting: dict[Connection, asyncio.TimerHandle] = {}
        connection: Any = functools.partial(Connection, waiting=waiting, patience=patience)
        config = uvicorn.Config(
            self._answer,
            interface="asgi3",
            http=connection,
            ws="none",
            lifespan="off",
            log_level="warning",
            access_log=False,
        )
        super().__init__(config)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave Ctrl-C to whoever runs the loop: a notebook's kernel, or the command line."""
        yield

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve until the server is stopped, or its loop ends."""
        try:
            await super().serve(sockets)
        finally:
            for listener in sockets or []:
                listener.close()

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"]
        host = self._hosts.refused(scope)
        app: ASGIApp = self._app if host is None else misdirected(host).answer(path)
        if "\0" in path:  # some releases of Starlette fail at looking for a file of such a name
            app = Problem(404, "Nothing here has a NUL in its name.").answer(path)
        if self.should_exit:
            app = come_again(f"{STOPS} nothing was done.", Connection="close").answer(path)
        try:
            await app(scope, receive, send)
        except asyncio.CancelledError:  # the loop ends, and the server was not stopped before
            cut = come_again(f"{STOPS} what was asked for may have been done.", Connection="close")
            with suppress(RuntimeError):  # an answer has begun
                await cut.answer(path)(scope, receive, send)


def misdirected(host: str) -> Problem:
    """Return the problem of a request for a host that the endpoint does not answer to."""
    return Problem(
        421,
        f"This endpoint does not answer to the host {host!r:.100}. Take the address that was "
        "printed when it was started, or start it with serve(allowed_hosts=['NAME']) or "
        "asyncsim serve --allow-host NAME.",
    )
