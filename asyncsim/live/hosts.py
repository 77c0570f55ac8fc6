"""The hosts an endpoint answers to; all others are turned away.

A page of another site can have its own name point to this machine (DNS rebinding) and then reads
answers as if they came from its own server. Its requests carry that name as ``Host``.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Iterable, Mapping
from typing import Any

from asyncsim.model.quantities import Refused
from asyncsim.model.texts import texts

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
        raise Refused(
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
