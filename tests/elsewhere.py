"""Calls in a process of its own, which begins, answers and ends: locks belong to processes."""

from collections.abc import Callable
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any

BESIDE = get_context("forkserver")
BESIDE.set_forkserver_preload(["asyncsim"])  # imported once, for all processes


def _answer(to: Connection, function: Callable[..., Any], given: tuple, named: dict) -> None:
    try:
        found = function(*given, **named)
    except Exception as error:
        found = error
    to.send(found)


def elsewhere(function: Callable[..., Any], *given: Any, **named: Any) -> Any:
    """Call a function in another process; return its result, or raise its error, after its end."""
    here, there = BESIDE.Pipe()
    process = BESIDE.Process(target=_answer, args=(there, function, given, named))
    process.start()
    there.close()
    found = here.recv()
    process.join()
    here.close()
    process.close()
    if isinstance(found, Exception):
        raise found
    return found
