"""Serving a session over REST: in the event loop that runs here, or in a thread of its own."""

from __future__ import annotations

import asyncio
import importlib.util
import ipaddress
import secrets
import socket
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from asyncsim.errors import EngineError, ScenarioError
from asyncsim.live.limits import RateLimit, rate_limit

if TYPE_CHECKING:
    from asyncsim.live.session import Session

NEEDED = ("fastapi", "uvicorn", "fastapi_offline")
PATH = "/api/workflow/v1"


class Endpoint:
    """A running REST endpoint; made by `Session.serve`.

    Attributes
    ----------
    url
        Where it is, such as ``http://127.0.0.1:8765``; the description is at ``/docs``.
    token
        What a request must hold.
    """

    def __init__(self, server: Any, listener: socket.socket, token: str) -> None:
        host, port = listener.getsockname()[:2]
        shown = f"[{host}]" if ":" in host else host
        self.url = f"http://{shown}:{port}"
        self.token = token
        self._server = server
        self._listener = listener
        self._thread: threading.Thread | None = None
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Serve, in the running event loop if there is one."""
        work = self._server.serve(sockets=[self._listener])
        try:
            self._task = asyncio.get_running_loop().create_task(work)
        except RuntimeError:
            self._thread = threading.Thread(target=asyncio.run, args=(work,), daemon=True)
            self._thread.start()

    def curl(self, serial_number: str, data: str = "{}") -> str:
        """Return a line for a terminal that finishes a step."""
        return (
            f"curl -i -X POST {self.url}{PATH}/serverEvents/{serial_number}/finish "
            f"-H 'Authorization: Bearer {self.token}' -d '{data}'"
        )

    def stop(self) -> None:
        """Stop serving; the session goes on."""
        self._server.should_exit = True
        if self._thread is not None:
            self._thread.join(timeout=10)

    async def stopped(self) -> None:
        """Wait until serving has ended, as `stop` does in a thread."""
        if self._task is not None:
            await self._task

    def __repr__(self) -> str:
        return f"Endpoint({self.url}, token {self.token})"

    def _repr_html_(self) -> str:
        docs = f"{self.url}/docs"
        return (
            f"REST endpoint at <code>{self.url}{PATH}</code>, described at "
            f"<a href='{docs}' target='_blank'>{docs}</a><br>"
            f"token <code>{self.token}</code><pre>{self.curl('5_31')}</pre>"
        )


def serve(
    session: Session,
    host: str = "127.0.0.1",
    port: int = 0,
    token: str | None = None,
    limit: str | RateLimit | None = None,
) -> Endpoint:
    """Start an endpoint; see `Session.serve`."""
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise EngineError(
            f"serving needs {', '.join(missing)}; install the extra: pip install 'asyncsim[serve]'"
        )
    admitted = rate_limit(limit)
    import uvicorn

    from asyncsim.live.rest import application

    class Server(uvicorn.Server):
        """Leaves Ctrl-C to whoever runs the loop: a notebook's kernel, or the command line."""

        @contextmanager
        def capture_signals(self) -> Iterator[None]:
            yield

    listener = listening(host, port)
    token = token or secrets.token_urlsafe(24)
    config = uvicorn.Config(
        application(session, token, admitted),
        lifespan="off",
        log_level="warning",
        access_log=False,
    )
    endpoint = Endpoint(Server(config), listener, token)
    endpoint.start()
    return endpoint


def listening(host: str, port: int) -> socket.socket:
    """Return a socket that listens, or say why it cannot."""
    if isinstance(port, bool) or not isinstance(port, int) or not 0 <= port < 65_536:
        raise ScenarioError(f"port must be a whole number from 0 to 65535, got {port!r}")
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = socket.create_server((host, port), family=family)
    except OSError as error:
        raise EngineError(
            f"cannot listen on {host}, port {port}: {error.strerror}; another port may be free, "
            "0 takes any"
        ) from None
    address = listener.getsockname()[0]
    if not ipaddress.ip_address(address).is_loopback:
        warnings.warn(
            f"the endpoint listens on {address}: everybody in that network can reach it, and the "
            "token travels in clear text",
            stacklevel=4,
        )
    return listener
