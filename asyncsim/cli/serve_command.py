"""``asyncsim serve``: a live session over REST."""

from __future__ import annotations

import argparse
import asyncio
import os
import shlex
import signal
import sys
import warnings
from contextlib import suppress
from pathlib import Path
from typing import Any

from asyncsim.cli.options import (
    SCENARIO_HELP,
    SEED_HELP,
    add_command,
    add_profile,
    add_strategy,
    parse_strategy,
)
from asyncsim.errors import ScenarioError
from asyncsim.live.endpoint import host_names
from asyncsim.live.open import live
from asyncsim.live.serve import checked_token
from asyncsim.live.session import Session
from asyncsim.model.process import AsyncStep
from asyncsim.model.scenario import Scenario
from asyncsim.model.units import text_of
from asyncsim.model.validation import argument

VARIABLE = "ASYNCSIM_TOKEN"
LONGEST_LINE = 10_000


def add_serve(commands: Any) -> None:
    """Add ``asyncsim serve``."""
    command = add_command(
        commands,
        "serve",
        _serve,
        "run a live session, and let programs finish its steps over REST",
        "example:workshop --hold all --store session.db",
    )
    command.add_argument(
        "scenario", type=Path, nargs="?", help=f"{SCENARIO_HELP}; default: that of the store"
    )
    command.add_argument(
        "--store",
        type=Path,
        metavar="DB",
        help="keep the session in this file, and resume it from there",
    )
    add_strategy(command, default=None)
    command.add_argument(
        "--speed", type=float, default=600.0, help="simulated seconds per second (default: 600)"
    )
    command.add_argument("--seed", type=int, help=SEED_HELP)
    command.add_argument(
        "--hold",
        action="append",
        metavar="SYSTEM",
        help="a system whose work only you complete, or 'all'; may be given several times",
    )
    command.add_argument(
        "--host", default="127.0.0.1", help="address to listen on (default: 127.0.0.1)"
    )
    command.add_argument(
        "--port", type=int, default=8765, help="port to listen on; 0: any (default: 8765)"
    )
    command.add_argument(
        "--allow-host",
        action="append",
        metavar="NAME",
        help="a further name of this machine that clients use; may be given several times",
    )
    command.add_argument(
        "--token",
        metavar="TEXT",
        help="token of requests, 16 characters or more (default: a new one); visible in lists of "
        f"processes (ps), so prefer --token-file or the environment variable {VARIABLE}",
    )
    command.add_argument(
        "--token-file", type=Path, metavar="FILE", help="a file with the token in its first line"
    )
    command.add_argument(
        "--rate-limit",
        metavar="WORDS",
        help="such as '100 per 60 s' or '3000 refilled 500/s' (default: the server's limit)",
    )
    add_profile(command)


def _serve(arguments: argparse.Namespace) -> int:
    described: dict[str, Any] = {}
    scenario = None
    token, in_shell = _token(arguments)
    arguments.allow_host = argument("--allow-host", arguments.allow_host or [], host_names)
    if arguments.scenario is None:
        _check_alone(arguments)
    else:
        hold = arguments.hold or []
        described["hold"] = True if "all" in hold else hold
        described["strategy"] = parse_strategy(arguments.strategy or "callback")
        described["seed"] = 1 if arguments.seed is None else arguments.seed
        described["profile"] = arguments.profile
        scenario = Scenario.load(arguments.scenario)
    session = live(scenario, store=arguments.store, speed=arguments.speed, **described)
    with session, suppress(KeyboardInterrupt):
        asyncio.run(_served(session, arguments, token, in_shell))
    again = " The same command resumes it." if arguments.store else ""
    print(f"closed at {session.at:%Y-%m-%d %H:%M:%S}.{again}")
    return 0


def _check_alone(arguments: argparse.Namespace) -> None:
    """Reject options that have no effect, because the store has its own settings."""
    for name in ("strategy", "seed", "hold", "profile"):
        value = getattr(arguments, name)
        if value is not None:
            given = " ".join(value) if isinstance(value, list) else value
            raise ScenarioError(
                f"--{name} needs a scenario; the store has its own, got --{name} {given}"
            )


def _token(arguments: argparse.Namespace) -> tuple[str | None, str | None]:
    """Return the token, if one is given, and the shell expression that reads a hidden one.

    Options take precedence over the environment variable.
    """
    path = arguments.token_file
    if arguments.token is not None and path is not None:
        raise ScenarioError("--token and --token-file exclude each other; give one of them")
    if arguments.token is not None:
        return checked_token(arguments.token), None
    if path is not None:
        source, token = f"--token-file {str(path)!r}", _first_line(path)
        in_shell = f"$(head -n 1 {shlex.quote(str(path))})"
    else:
        source, token, in_shell = VARIABLE, os.environ.get(VARIABLE, ""), f"${VARIABLE}"
        if not token:
            return None, None
    try:
        return checked_token(token), in_shell
    except ScenarioError as error:
        raise ScenarioError(f"{source}: {error}") from None


def _first_line(path: Path) -> str:
    try:
        with path.open("rb") as file:
            line = file.readline(LONGEST_LINE).strip()
    except OSError as error:
        reason = error.strerror
        raise ScenarioError(f"--token-file {str(path)!r} cannot be read ({reason})") from None
    if not line:
        raise ScenarioError(f"--token-file {str(path)!r} has no token in its first line")
    return line.decode("ascii", "replace")


async def _served(
    session: Session, arguments: argparse.Namespace, token: str | None, in_shell: str | None
) -> None:
    with warnings.catch_warnings(record=True) as noted:
        warnings.simplefilter("always", UserWarning)
        endpoint = session.serve(
            arguments.host,
            arguments.port,
            token=token,
            rate_limit=arguments.rate_limit,
            allowed_hosts=arguments.allow_host,
        )
    with suppress(RuntimeError):  # not on Windows, nor in a thread
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, endpoint.stop)
    for note in noted:
        print(f"asyncsim: note: {note.message}", file=sys.stderr)
    print(
        f"{session.scenario.name}: simulated time {session.at:%Y-%m-%d %H:%M:%S}, 1 s of real time "
        f"is {text_of(session.speed)}\n"
        f"description: {endpoint.url}/docs\ntoken: {in_shell or endpoint.token}\n\n"
        f"To finish a step once it waits{_first(session)}:\n"
        f"{endpoint.curl(_example(session), token_in_shell=in_shell)}\n\n"
        "Ctrl-C ends.",
        flush=True,
    )
    if arguments.host == "0.0.0.0":
        print(
            "Clients in the network use the address of this machine instead of 0.0.0.0.", flush=True
        )
    session.play()
    try:
        await endpoint.stopped()
    finally:  # answer pending requests, also after Ctrl-C
        endpoint.stop()
        await endpoint.stopped()


def _example(session: Session) -> str:
    """Return the serial number of a step that waits now, or of one in the fifth instance."""
    waiting = session.page(most=1)[1]["serial_number"]
    process = session.scenario.process
    step = next((one.name for one in process.of_type(AsyncStep)), None)
    number = process.activations[step] if step else process.first_activation + 1
    return str(waiting.iloc[0]) if len(waiting) else f"5_{number}"


def _first(session: Session) -> str:
    """Return when the first instance starts, or nothing if one has started."""
    arrivals = session.lane().numbers.arrivals
    if session.instances_count or not arrivals:
        return ""
    left = text_of(round((arrivals[0] - session.now) / session.speed, 1))
    return f" (the first instance starts in {left}, at {session.timestamp(arrivals[0]):%H:%M:%S})"
