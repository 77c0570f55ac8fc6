"""A REST endpoint that is running.

The hosts an endpoint answers to; all others are turned away.

A page of another site can have its own name point to this machine (DNS rebinding) and then reads
answers as if they came from its own server. Its requests carry that name as ``Host``.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
import shlex
import socket
import threading
from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

from asyncsim.errors import EngineError
from asyncsim.model.units import InvalidValue, texts

HEADER = re.compile(r"(\[[^\[\]\s]*\]|[^\[\]:/@\s]+)(?::\d*)?", re.ASCII)
LOOPBACK = ("localhost", "127.0.0.1", "::1")


class Hosts:
    """The hosts an endpoint answers to: of this machine, and those it is started with.

    Parameters
    ----------
    host
        Where it was asked to listen.
    address
        The IP address it listens on.
    allowed
        Further names, such as that of a proxy.
    """

    def __init__(self, host: str, address: str, allowed: Iterable[str] = ()) -> None:
        names = [*LOOPBACK, host, address, *allowed]
        if ipaddress.ip_address(address).is_unspecified:
            own = socket.gethostname()
            names += [own, own.partition(".")[0], own.partition(".")[0] + ".local"]
        self._names = {_plain(name) for name in names}

    def refused(self, scope: Mapping[str, Any]) -> str | None:
        """Return the host a request is for, if it is none of these; it may name none at all."""
        for name, value in scope["headers"]:
            if name == b"host" and not self._answers(value.decode("latin-1"), scope["server"]):
                return str(value.decode("latin-1"))
        return None

    def _answers(self, header: str, server: tuple[str, int | None] | None) -> bool:
        found = HEADER.fullmatch(header)
        if found is None:
            return False
        host = _plain(found[1])
        # The address this connection came to is the machine's own, whichever interface it has
        return host in self._names or (server is not None and host == _plain(server[0]))


def host_names(value: Iterable[str]) -> tuple[str, ...]:
    """Return names of hosts as clients write them, checked."""
    try:
        return tuple(_host_name(name) for name in texts(value))
    except ValueError:  # Refused is one
        raise InvalidValue(
            "must be a list of hosts without scheme and port, such as ['room.example']"
        ) from None


def _host_name(name: str) -> str:
    try:
        return str(ipaddress.ip_address(name.strip("[]")))
    except ValueError:
        text = name.encode("idna").decode()  # as browsers write it
    if not re.fullmatch(r"[\w.-]+", text, re.ASCII):
        raise ValueError(name)
    return text


def _plain(host: str) -> str:
    """Return a host in the one way in which hosts are compared."""
    text = host.lower().strip("[]").partition("%")[0].removesuffix(".")
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return text


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

    def start(self, thread: bool = False) -> None:
        """Serve, in the running event loop if there is one and no thread is wanted.

        Raises
        ------
        EngineError
            If a thread is needed and none can be started.
        """
        work = self._server.serve(sockets=[self._listener])
        try:
            loop = None if thread else asyncio.get_running_loop()
        except RuntimeError:
            loop = None
        if loop is not None:
            self._task = loop.create_task(work)
        else:
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
        """Return a line for a terminal that finishes a step.

        Parameters
        ----------
        serial_number, data
            The step, and the data fields as JSON.
        token_in_shell
            What the shell puts in place of the token, such as ``$TOKEN``; by default the line
            holds the token itself.
        """
        header = shlex.quote(f"Authorization: Bearer {self.token}")
        if token_in_shell is not None:
            header = f'"Authorization: Bearer {token_in_shell}"'
        return (
            f"curl -si -X POST {self.url}{PATH}/serverEvents/{serial_number}/finish "
            f"-H {header} -d {shlex.quote(data)}"
        )

    def stop(self) -> None:
        """Stop serving; the session goes on."""
        self._server.should_exit = True
        if self._thread is not None:
            self._thread.join(timeout=15)

    async def stopped(self) -> None:
        """Wait until serving has ended, as `stop` does in a thread."""
        if self._task is not None:
            await asyncio.shield(self._task)  # whoever stops waiting does not cut requests off

    def __repr__(self) -> str:
        return f"Endpoint({self.url})"  # no token: what is printed is kept

    def _repr_html_(self) -> str:
        docs = f"{self.url}/docs"
        return (
            f"REST endpoint at <code>{self.url}{PATH}</code>, described at "
            f"<a href='{docs}' target='_blank'>{docs}</a><br>"
            f"token <code>{escape(self.token)}</code>"
            f"<pre>{escape(self.curl('5_31'), quote=False)}</pre>"
        )
