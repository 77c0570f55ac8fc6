"""Serving a session over REST: in the event loop that runs here, or in a thread of its own."""

from __future__ import annotations

import errno
import importlib.util
import ipaddress
import re
import secrets
import socket
from collections.abc import Sequence

from asyncsim.errors import EngineError, ScenarioError, warn
from asyncsim.live.endpoint import Endpoint, Hosts, host_names
from asyncsim.live.session import Session
from asyncsim.model.server import RateLimit, rate_limit
from asyncsim.model.validation import argument
from asyncsim.platform import in_browser

NOT_HERE = (errno.ENOSYS, errno.EOPNOTSUPP, errno.EAFNOSUPPORT)
VISIBLE = re.compile(r"[!-~]+")
SHORTEST_TOKEN = 16
PATIENCE = 10.0
NEEDED = ("fastapi", "uvicorn", "fastapi_offline")


def serve(
    session: Session,
    host: str = "127.0.0.1",
    port: int = 0,
    token: str | None = None,
    limit: str | RateLimit | None = None,
    thread: bool = False,
    allowed_hosts: Sequence[str] = (),
    patience: float = PATIENCE,
) -> Endpoint:
    """Start an endpoint; see `Session.serve`.

    Parameters
    ----------
    session
        What is served.
    host, port, token, limit, thread
        See `Session.serve`; `limit` is its `rate_limit`.
    allowed_hosts
        Further names by which clients reach the endpoint, such as that of a proxy. It answers to
        those of this machine; requests for any other host get a 421, for a page of another site
        may have sent them (DNS rebinding).
    patience
        Seconds within which a request must arrive; what comes more slowly gets a 408.
    """
    if in_browser():  # to try would end it: Pyodide takes that for a fatal error
        raise EngineError(
            "serve() needs network sockets, and a browser gives Python none: finish steps with "
            "session.finish('5_31', {…}) or session.console(), or serve from a Python of your own"
        )
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise EngineError(
            f"serving needs {', '.join(missing)}; install the extra: pip install 'asyncsim[serve]'"
        )
    requests = argument("rate_limit", limit, rate_limit)
    hosts = argument("allowed_hosts", allowed_hosts, host_names)
    from asyncsim.live.http_server import Server
    from asyncsim.live.rest import application

    token = secrets.token_urlsafe(24) if token is None else checked_token(token)
    listener = listening(host, port)
    app = application(session, token, requests)
    answered = Hosts(host, listener.getsockname()[0], hosts)
    endpoint = Endpoint(Server(app, answered, patience), listener, token)
    endpoint.start(thread)
    return endpoint


def checked_token(token: str) -> str:
    """Return a token that a header can carry and nobody guesses; an error does not show it."""
    if not (isinstance(token, str) and VISIBLE.fullmatch(token)):
        raise ScenarioError("token must be visible ASCII characters, which a header can carry")
    if len(token) < SHORTEST_TOKEN:
        raise ScenarioError(
            f"token must have at least {SHORTEST_TOKEN} characters, got {len(token)}; "
            "leave it out, and a new one is made"
        )
    return token


def listening(host: str, port: int) -> socket.socket:
    """Return a socket that listens, or say why it cannot."""
    if isinstance(port, bool) or not isinstance(port, int) or not 0 <= port < 65_536:
        raise ScenarioError(f"port must be a whole number from 0 to 65535, got {port!r}")
    try:
        socket.getaddrinfo(host or None, port)  # of a name that is none, the next line tells less
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        made = socket.create_server((host, port), family=family)
        # Only of a socket that says it is TCP does asyncio turn Nagle's algorithm off: 40 ms a call
        listener = socket.socket(family, made.type, socket.IPPROTO_TCP, made.detach())
    except OSError as error:
        hint = "another port may be free, 0 takes any"
        if isinstance(error, socket.gaierror):
            hint = "check the name of the host"
        elif error.errno in NOT_HERE:
            hint = "there are no sockets here; take session.finish('5_31', {…}) or console()"
        raise EngineError(
            f"cannot listen on {host}, port {port}: {error.strerror}; {hint}"
        ) from None
    address = listener.getsockname()[0]
    if not ipaddress.ip_address(address).is_loopback:
        warn(
            f"the endpoint listens on {address}: everybody in that network can reach it, and the "
            "token travels in clear text",
        )
    return listener
