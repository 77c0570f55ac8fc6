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
from typing import Any

from asyncsim.cli.options import PROFILE, SCENARIO_HELP, SEED, STRATEGY, Command
from asyncsim.cli.strategy_parser import parse_strategy
from asyncsim.errors import ScenarioError
from asyncsim.live.endpoint import checked_token, host_names
from asyncsim.live.open import live
from asyncsim.live.session import Session
from asyncsim.model.process import AsyncStep
from asyncsim.model.scenario import Scenario
from asyncsim.model.units import text_of
from asyncsim.model.validation import argument

VARIABLE = "ASYNCSIM_TOKEN"
LONGEST_LINE = 10_000


def _serve(arguments: argparse.Namespace) -> int:
    described: dict[str, Any] = {}
    scenario = None
    token, in_shell = _token(arguments)
    arguments.allow_host = argument("--allow-host", arguments.allow_host or [], host_names)
    hold = arguments.hold or []
    if arguments.scenario is not None:
        described = {
            "hold": True if "all" in hold else hold,
            "strategy": parse_strategy(arguments.strategy or "callback"),
            "seed": 1 if arguments.seed is None else arguments.seed,
            "profile": arguments.profile,
        }
        scenario = Scenario.load(arguments.scenario)
    else:  # the store has its own settings
        for name in ("strategy", "seed", "hold", "profile"):
            if getattr(arguments, name) is not None:
                given = " ".join(hold) if name == "hold" else getattr(arguments, name)
                raise ScenarioError(
                    f"--{name} needs a scenario; the store has its own, got --{name} {given}"
                )
    session = live(scenario, store=arguments.store, speed=arguments.speed, **described)
    with session, suppress(KeyboardInterrupt):
        asyncio.run(_served(session, arguments, token, in_shell))
    again = " The same command resumes it." if arguments.store else ""
    print(f"closed at {session.at:%Y-%m-%d %H:%M:%S}.{again}")
    return 0


def _token(arguments: argparse.Namespace) -> tuple[str | None, str | None]:
    """Return the token, if one is given, and the shell expression that reads a hidden one."""
    path = arguments.token_file
    if arguments.token is not None and path is not None:
        raise ScenarioError("--token and --token-file exclude each other; give one of them")
    if arguments.token is not None:
        return checked_token(arguments.token), None
    source, token, in_shell = VARIABLE, os.environ.get(VARIABLE, ""), f"${VARIABLE}"
    if path is not None:
        source, in_shell = f"--token-file {str(path)!r}", f"$(head -n 1 {shlex.quote(str(path))})"
        try:
            with path.open("rb") as file:
                token = file.readline(LONGEST_LINE).strip().decode("ascii", "replace")
        except OSError as error:
            raise ScenarioError(f"{source} cannot be read ({error.strerror})") from None
        if not token:
            raise ScenarioError(f"{source} has no token in its first line")
    try:
        return (checked_token(token), in_shell) if token else (None, None)
    except ScenarioError as error:
        raise ScenarioError(f"{source}: {error}") from None


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


SERVE = Command(
    "serve",
    _serve,
    "run a live session, and let programs finish its steps over REST",
    "example:workshop --hold all --store session.db",
    {
        "scenario ?": f"{SCENARIO_HELP}; default: that of the store",
        "--store DB": "keep the session in this file, and resume it from there",
        **STRATEGY,
        "--speed SPEED": "simulated seconds per second (default: 600)",
        **SEED,
        "--hold SYSTEM ...": "a system whose work only you complete, or 'all'; may be given "
        "several times",
        "--host HOST": "address to listen on (default: 127.0.0.1)",
        "--port PORT": "port to listen on; 0: any (default: 8765)",
        "--allow-host NAME ...": "a further name of this machine that clients use; may be given "
        "several times",
        "--token TEXT": "token of requests, 16 characters or more (default: a new one); visible "
        "in lists of processes (ps), so prefer --token-file or the environment variable "
        f"{VARIABLE}",
        "--token-file FILE": "a file with the token in its first line",
        "--rate-limit WORDS": "such as '100 per 60 s' or '3000 refilled 500/s' (default: the "
        "server's limit)",
        **PROFILE,
    },
    {"host": "127.0.0.1", "port": 8765, "speed": 600.0},
    profiles=True,
)
