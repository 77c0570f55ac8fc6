"""Serving a session over REST: in the event loop that runs here, or in a thread.

This module needs no extra package; `serve` imports the server and the application (the extra
``serve``) when it is called.
"""

from __future__ import annotations

import asyncio
import errno
import importlib.util
import ipaddress
import re
import secrets
import shlex
import socket
import threading
from collections.abc import Iterable, Sequence
from contextlib import suppress
from html import escape
from typing import Any

from asyncsim.errors import EngineError, ScenarioError, warn
from asyncsim.live.session import Session
from asyncsim.live.setup import PATH
from asyncsim.model.html import note_html
from asyncsim.model.server import RateLimit
from asyncsim.model.server import rate_limit as as_rate_limit
from asyncsim.model.units import InvalidValue, texts
from asyncsim.model.validation import argument
from asyncsim.platform import in_browser

NEEDED = ("fastapi", "uvicorn", "fastapi_offline")
PATIENCE = 10.0  # seconds within which a request must arrive; a slower one gets a 408
VISIBLE = re.compile(r"[!-~]+")
SHORTEST_TOKEN = 16
NO_SOCKETS = (errno.ENOSYS, errno.EOPNOTSUPP, errno.EAFNOSUPPORT)


def serve(
    session: Session,
    host: str = "127.0.0.1",
    port: int = 0,
    *,
    token: str | None = None,
    rate_limit: str | RateLimit | None = None,
    thread: bool = False,
    allowed_hosts: Sequence[str] = (),
) -> Endpoint:
    """Start a REST endpoint at which programs finish steps; needs the extra ``serve``.

    In a notebook the kernel's own event loop serves it, in a script a thread. A cell that calls the
    endpoint and blocks (``!curl``, ``requests``) would then wait for ever: call from a terminal,
    with ``await``, or take ``thread=True``.

    Parameters
    ----------
    session
        What is served.
    host, port
        Where; by default on this machine only, at any free port.
    token
        What requests must hold, 16 characters or more; by default a new one.
    rate_limit
        Such as ``"100 per 60 s"`` or ``"3000 refilled 500/s"`` (real time), of requests of any
        kind; those above it get a 429. Left out, the server's `finish_limit` holds for finishes.
    thread
        Serve from a thread in any case.
    allowed_hosts
        Further names by which clients reach the endpoint, such as that of a proxy. Requests for any
        other host get a 421: a page of another site may have sent them (DNS rebinding).

    Raises
    ------
    EngineError
        If the port is taken, the extra is not installed, or a browser has no sockets.
    """
    if in_browser():  # to try would end it: Pyodide takes that for a fatal error
        raise EngineError(
            "serve() needs network sockets, and a browser gives Python none: finish steps with "
            "session.finish('5_31', {…}) or session.console(), or serve from a Python of your own"
        )
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        install = "install the extra: pip install 'asyncsim[serve]'"
        raise EngineError(f"serving needs {', '.join(missing)}; {install}")
    limit = argument("rate_limit", rate_limit, as_rate_limit)
    names = argument("allowed_hosts", allowed_hosts, host_names)
    from asyncsim.live.http_server import Hosts, Server
    from asyncsim.live.rest import application

    token = secrets.token_urlsafe(24) if token is None else checked_token(token)
    listener = listening_socket(host, port)
    hosts = Hosts(host, listener.getsockname()[0], names)
    server = Server(application(session, token, limit), hosts, PATIENCE)
    endpoint = Endpoint(server, listener, token)
    endpoint.start(thread)
    session.call_at_close(endpoint.stop)
    return endpoint


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

    def start(self, thread: bool = False) -> None:
        """Serve, in the running event loop if there is one and no thread is wanted."""
        work = self._server.serve(sockets=[self._listener])
        if not thread:
            with suppress(RuntimeError):
                self._task = asyncio.get_running_loop().create_task(work)
                return
        self._thread = threading.Thread(target=asyncio.run, args=(work,), daemon=True)
        try:
            self._thread.start()
        except RuntimeError as error:
            work.close()
            self._listener.close()
            raise EngineError(
                f"serving from a thread needs one, and none can be started here ({error}): "
                "call serve() without thread=True in an event loop, as a notebook has one"
            ) from None

    def curl(
        self, serial_number: str, data: str = "{}", *, token_in_shell: str | None = None
    ) -> str:
        """Return a line for a terminal that finishes a step with data fields (as JSON)."""
        header = shlex.quote(f"Authorization: Bearer {self.token}")
        if token_in_shell is not None:
            header = f'"Authorization: Bearer {token_in_shell}"'
        url = f"{self.url}{PATH}/serverEvents/{serial_number}/finish"
        return f"curl -si -X POST {url} -H {header} -d {shlex.quote(data)}"

    def stop(self) -> None:
        """Stop serving; the session goes on."""
        self._server.should_exit = True
        if self._thread is not None:
            self._thread.join(timeout=15)

    async def stopped(self) -> None:
        """Wait until serving has ended, as `stop` does in a thread."""
        if self._task is not None:
            await asyncio.shield(self._task)  # to stop waiting does not cut requests off

    def __repr__(self) -> str:
        return f"Endpoint({self.url})"  # no token: what is printed is kept

    def _repr_html_(self) -> str:
        docs = f"{self.url}/docs"
        state = " (stopped)" if self._server.should_exit else ""
        return (
            f"REST endpoint{state} at <code>{self.url}{PATH}</code>, described at "
            f"<a href='{docs}' target='_blank'>{docs}</a><br>"
            f"token <code>{escape(self.token)}</code>"
            f"<pre style='overflow-x:auto'>{escape(self.curl('5_31'), quote=False)}</pre>"
            + note_html("The token stays in a saved notebook, and is of no use after stop().")
        )


def checked_token(token: str) -> str:
    """Return a token that a header can carry and is hard to guess; an error does not show it."""
    if not (isinstance(token, str) and VISIBLE.fullmatch(token)):
        raise ScenarioError("token must be visible ASCII characters, which a header can carry")
    if len(token) < SHORTEST_TOKEN:
        hint = "leave it out, and a new one is made"
        short = f"token must have at least {SHORTEST_TOKEN} characters, got {len(token)}"
        raise ScenarioError(f"{short}; {hint}")
    return token


def listening_socket(host: str, port: int) -> socket.socket:
    """Return a socket that listens, or raise an `EngineError` with the reason."""
    if isinstance(port, bool) or not isinstance(port, int) or not 0 <= port < 65_536:
        raise ScenarioError(f"port must be a whole number from 0 to 65535, got {port!r}")
    try:
        socket.getaddrinfo(host or None, port)  # its error for an unknown name says more
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        made = socket.create_server((host, port), family=family)
        # asyncio turns Nagle's algorithm off (40 ms a call) only for a socket declared as TCP
        listener = socket.socket(family, made.type, socket.IPPROTO_TCP, made.detach())
    except OSError as error:
        hint = "another port may be free, 0 takes any"
        if isinstance(error, socket.gaierror):
            hint = "check the name of the host"
        elif error.errno in NO_SOCKETS:
            hint = "there are no sockets here; take session.finish('5_31', {…}) or console()"
        problem = f"cannot listen on {host}, port {port}: {error.strerror}; {hint}"
        raise EngineError(problem) from None
    address = listener.getsockname()[0]
    if not ipaddress.ip_address(address).is_loopback:
        warn(
            f"the endpoint listens on {address}: everybody in that network can reach it, and the "
            "token travels in clear text"
        )
    return listener


def host_names(value: Iterable[str]) -> tuple[str, ...]:
    """Return names of hosts as clients write them, checked."""
    try:
        return tuple(_host_name(name) for name in texts(value))
    except ValueError:  # InvalidValue among them
        right = "must be a list of hosts without scheme and port, such as ['room.example']"
        raise InvalidValue(right) from None


def _host_name(name: str) -> str:
    try:
        return str(ipaddress.ip_address(name.strip("[]")))
    except ValueError:
        text = name.encode("idna").decode()  # as browsers write it
    if not re.fullmatch(r"[\w.-]+", text, re.ASCII):
        raise ValueError(name)
    return text
