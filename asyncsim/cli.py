"""The command ``asyncsim``: thin, calls the same public functions as a notebook."""

from __future__ import annotations

import argparse
import ast
import asyncio
import re
import sys
import warnings
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import attrs
from matplotlib.backend_bases import FigureCanvasBase

from asyncsim.engine.simulate import simulate
from asyncsim.errors import AsyncsimError, ScenarioError
from asyncsim.live.opening import live
from asyncsim.live.session import Session
from asyncsim.model.quantities import nearest, text_of
from asyncsim.model.scenario import Scenario
from asyncsim.model.strategies import STRATEGIES, Strategy
from asyncsim.study.calibration.fit import fit
from asyncsim.study.compare import compare
from asyncsim.study.verify import verify

DEFAULT_STRATEGIES = ("callback delay=50ms", "polling 1min", "polling 15min")
UNNAMED = {"callback with safety poll": "every"}
"""Which argument a word without a name is, where it is not the first."""
STRATEGY_HELP = (
    "how waiting steps learn of completion, in words: 'callback', 'callback delay=50ms loss=0.02 "
    "retries=5s,5min', 'polling 15min anchor=clock', 'backoff 1s factor=2 cap=10min', "
    "'long polling 30s', 'callback with safety poll every=5min'; may be given several times"
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line; return 0 if all went well, 1 if a check failed, 2 for wrong input."""
    arguments = _parser().parse_args(argv)
    try:
        with warnings.catch_warnings(record=True) as noted:
            warnings.simplefilter("always", UserWarning)
            status: int = arguments.command(arguments)
    except AsyncsimError as error:
        print(f"asyncsim: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"asyncsim: {error.filename}: {error.strerror}", file=sys.stderr)
        return 2
    for note in noted:
        print(f"asyncsim: note: {note.message}", file=sys.stderr)
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="asyncsim",
        description="Simulate how workflow steps wait for outside systems: callback or polling.",
    )
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    _add_compare(commands)
    _add_run(commands)
    _add_serve(commands)
    _add_fit(commands)
    _add_verify(commands)
    return parser


def _add_compare(commands: Any) -> None:
    command = commands.add_parser("compare", help="play strategies on the same random numbers")
    _add_scenario(command)
    command.add_argument("--strategy", action="append", metavar="WORDS", help=STRATEGY_HELP)
    command.add_argument("--replications", type=int, metavar="N", help="how often (default: 10)")
    command.add_argument(
        "--precision", type=float, metavar="SHARE", help="go on until latencies are known so well"
    )
    command.add_argument("--save", type=Path, metavar="PNG", help="save the picture there")
    command.add_argument("--csv", type=Path, metavar="CSV", help="save the whole table there")
    _add_jobs(command)
    command.set_defaults(command=_compare)


def _add_run(commands: Any) -> None:
    command = commands.add_parser("run", help="play one strategy and write down what happened")
    _add_scenario(command)
    command.add_argument("--strategy", default="callback", metavar="WORDS", help=STRATEGY_HELP)
    command.add_argument(
        "--out", type=Path, metavar="FOLDER", help="write waits, instances, steps … there as CSV"
    )
    command.set_defaults(command=_run)


def _add_serve(commands: Any) -> None:
    command = commands.add_parser(
        "serve", help="play a scenario on the clock, and let programs finish its steps over REST"
    )
    command.add_argument(
        "scenario", type=Path, nargs="?", help="a scenario file (TOML); left out, the store's own"
    )
    command.add_argument(
        "--store", type=Path, metavar="DB", help="keep all waiting steps there; go on from there"
    )
    command.add_argument("--strategy", default="callback", metavar="WORDS", help=STRATEGY_HELP)
    command.add_argument("--speed", type=float, default=600.0, help="simulated seconds per second")
    command.add_argument("--seed", type=int, default=1, help="key of the random numbers")
    command.add_argument(
        "--hold",
        action="append",
        default=[],
        metavar="SYSTEM",
        help="a system that completes nothing by itself, or 'all'; may be given several times",
    )
    command.add_argument("--host", default="127.0.0.1", help="address to listen on")
    command.add_argument("--port", type=int, default=8765, help="port to listen on; 0: any")
    command.add_argument("--token", metavar="TEXT", help="what requests must hold (default: new)")
    command.add_argument(
        "--rate-limit", metavar="WORDS", help="such as '100 per 60 s' or '3000 refilled 500/s'"
    )
    _add_profile(command)
    command.set_defaults(command=_serve)


def _add_fit(commands: Any) -> None:
    command = commands.add_parser(
        "fit", help="fit a scenario to a log, and tell what the log does not explain"
    )
    command.add_argument(
        "log", type=Path, help="CSV: SN, submitted, completed; or events as process mining has them"
    )
    command.add_argument("--out", type=Path, metavar="TOML", help="write the scenario there")
    command.add_argument("--plot", type=Path, metavar="PNG", help="save the picture there")
    command.add_argument("--zone", metavar="NAME", help="time zone of the log: 'Europe/Berlin' …")
    command.add_argument(
        "--system",
        action="append",
        default=[],
        metavar="WORDS",
        help="name of the external system, or 'step=system' for each step that waits",
    )
    command.add_argument(
        "--requests", type=Path, metavar="CSV", help="completions for an event log's serial numbers"
    )
    command.add_argument(
        "--period", nargs=2, metavar="DAY", help="first and last day that the log covers"
    )
    command.add_argument("--workers", type=int, metavar="N", help="how many the server has")
    command.set_defaults(command=_fit)


def _add_scenario(command: argparse.ArgumentParser) -> None:
    command.add_argument("scenario", type=Path, help="a scenario file (TOML)")
    command.add_argument("--seed", type=int, default=1, help="key of the random numbers")
    command.add_argument(
        "--engine",
        default="auto",
        metavar="NAME",
        help="simpy, compiled, or auto (default): compiled where it plays every part",
    )
    _add_profile(command)
    command.add_argument(
        "--log", type=Path, metavar="CSV", help="take arrivals and external times from a log"
    )
    command.add_argument(
        "--step", metavar="NAME", help="the step whose requests the log holds, if there are several"
    )


def _add_verify(commands: Any) -> None:
    command = commands.add_parser("verify", help="hold the simulation against theory")
    command.add_argument("--quick", action="store_true", help="shorter runs, wider intervals")
    command.add_argument("--replications", type=int, default=20, metavar="N")
    command.add_argument("--seed", type=int, default=1)
    _add_jobs(command)
    command.set_defaults(command=_verify)


def _add_jobs(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--jobs", type=int, default=1, metavar="N", help="on N processes; -1: one per processor"
    )


def _add_profile(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--profile", metavar="NAME", help="answer finishes as another engine does: 'camunda 8' …"
    )


def _scenario(arguments: argparse.Namespace) -> Scenario:
    scenario = Scenario.load(arguments.scenario)
    if arguments.step and not arguments.log:
        raise ScenarioError(f"--step goes with --log, got --step {arguments.step!r} alone")
    if arguments.log:
        scenario = scenario.with_log(arguments.log, step=arguments.step)
    return scenario.with_profile(arguments.profile)


def _compare(arguments: argparse.Namespace) -> int:
    strategies = [parse_strategy(words) for words in arguments.strategy or DEFAULT_STRATEGIES]
    if arguments.csv:  # before hours of work, not after
        arguments.csv.parent.mkdir(parents=True, exist_ok=True)
    _check_picture("--save", arguments.save)
    replications = arguments.replications
    if arguments.log and replications is None and arguments.precision is None:
        replications = 5  # what is left to chance beside a log is little
    comparison = compare(
        _scenario(arguments),
        strategies,
        replications=replications,
        precision=arguments.precision,
        seed=arguments.seed,
        engine=arguments.engine,
        n_jobs=arguments.jobs,
    )
    print(comparison)
    if arguments.csv:
        comparison.table.to_csv(arguments.csv, index=False)
    if arguments.save:
        comparison.plot().savefig(arguments.save, dpi=120)
        print(f"picture: {arguments.save}")
    return 0


def _check_picture(option: str, path: Path | None) -> None:
    """See to it that a picture can be saved there."""
    if path is None:
        return
    kinds = FigureCanvasBase.get_supported_filetypes()
    if path.suffix.lstrip(".") not in kinds:
        words = ", ".join(f".{kind}" for kind in kinds)
        raise ScenarioError(f"{option} must end in one of {words}, got {str(path)!r}")
    path.parent.mkdir(parents=True, exist_ok=True)


def _run(arguments: argparse.Namespace) -> int:
    strategy = parse_strategy(arguments.strategy)
    run = simulate(_scenario(arguments), strategy, seed=arguments.seed, engine=arguments.engine)
    print(run.summary().T.to_string(header=False))
    if arguments.out:
        arguments.out.mkdir(parents=True, exist_ok=True)
        names = ("waits", "instances", "steps", "deliveries", "server", "open_waits", "overhead")
        for name in names:
            getattr(run, name).to_csv(arguments.out / f"{name}.csv", index=False)
        run.event_log().to_csv(arguments.out / "event_log.csv", index=False)
        print(f"tables: {arguments.out}")
    return 0


def _fit(arguments: argparse.Namespace) -> int:
    _check_picture("--plot", arguments.plot)
    system: Any = dict(words.split("=", 1) for words in arguments.system if "=" in words)
    if arguments.system and not system:
        system = arguments.system[-1]
    found = fit(
        arguments.log,
        zone=arguments.zone,
        system=system or None,
        requests=arguments.requests,
        period=tuple(arguments.period) if arguments.period else None,
        workers=arguments.workers,
    )
    print(found)
    if arguments.out:
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        found.scenario.save(arguments.out)
        print(f"\nscenario: {arguments.out}")
    if arguments.plot:
        found.plot().savefig(arguments.plot, dpi=120)
        print(f"picture: {arguments.plot}")
    return 0


def _serve(arguments: argparse.Namespace) -> int:
    described: dict[str, Any] = {}
    if arguments.scenario is not None:
        hold = True if "all" in arguments.hold else arguments.hold
        strategy = parse_strategy(arguments.strategy)
        described = {"strategy": strategy, "seed": arguments.seed, "hold": hold}
        described |= {"profile": arguments.profile}
    scenario = None if arguments.scenario is None else Scenario.load(arguments.scenario)
    session = live(scenario, store=arguments.store, speed=arguments.speed, **described)
    with session, suppress(KeyboardInterrupt):
        asyncio.run(_served(session, arguments))
    again = " The same command goes on with it." if arguments.store else ""
    print(f"closed at {session.at:%Y-%m-%d %H:%M:%S}.{again}")
    return 0


async def _served(session: Session, arguments: argparse.Namespace) -> None:
    with warnings.catch_warnings(record=True) as noted:
        warnings.simplefilter("always", UserWarning)
        endpoint = session.serve(
            arguments.host, arguments.port, token=arguments.token, rate_limit=arguments.rate_limit
        )
    for note in noted:
        print(f"asyncsim: note: {note.message}", file=sys.stderr)
    print(
        f"{session.scenario.name}: it is {session.at:%Y-%m-%d %H:%M:%S}, one second here is "
        f"{text_of(session.speed)} there\n"
        f"description: {endpoint.url}/docs\ntoken: {endpoint.token}\n\n"
        f"Finish a step, once it waits:\n{endpoint.curl('5_31')}\n\nCtrl-C ends.",
        flush=True,
    )
    session.play()
    await endpoint.stopped()


def _verify(arguments: argparse.Namespace) -> int:
    found = verify(
        arguments.replications, quick=arguments.quick, seed=arguments.seed, n_jobs=arguments.jobs
    )
    print(found)
    return 0 if found.passed else 1


def parse_strategy(words: str) -> Strategy:
    """Return the strategy that words describe, such as ``"polling 15min anchor=clock"``.

    The longest name that fits comes first, then the first argument if it has no name, then
    ``name=value``; lists are separated by commas.

    Raises
    ------
    ScenarioError
        Naming the word that is wrong and the nearest valid one.
    """
    names = sorted(STRATEGIES, key=len, reverse=True)
    name = next((n for n in names if words.strip() == n or words.strip().startswith(n + " ")), None)
    if name is None:
        known = ", ".join(repr(n) for n in STRATEGIES)
        first = words.split("=")[0].rsplit(" ", 1)[0] if "=" in words else words
        raise ScenarioError(
            f"strategy must begin with one of {known}, got {words!r}{nearest(first, STRATEGIES)}"
        )
    cls = STRATEGIES[name]
    attributes = attrs.fields(cls)  # type: ignore[arg-type]
    fields = [field.alias for field in attributes]
    values: dict[str, Any] = {}
    unnamed = UNNAMED.get(name, fields[0])
    for k, word in enumerate(_tidy(words.strip()[len(name) :]).split()):
        key, _, value = word.rpartition("=")
        key = key or (unnamed if k == 0 else "")
        if key not in fields:
            raise ScenarioError(
                f"{cls.__name__} has no argument {key or word!r}{nearest(key or word, fields)}; "
                f"it has {', '.join(fields)}"
            )
        values[key] = value.split(",") if key == "retries" else _value(value)
    for field in attributes:
        if field.default is attrs.NOTHING and field.alias not in values:
            raise ScenarioError(
                f"strategy {words!r} lacks {field.alias!r}, such as 'polling 15min'"
            )
    return cls(**values)


def _tidy(words: str) -> str:
    """Close the gaps in ``15 min``, ``anchor = clock`` and ``5s, 5min``."""
    words = re.sub(r"(?<=\d) +(?=[a-z]+\b(?!\s*=))", "", words)
    return re.sub(r"\s*([=,])\s*", r"\1", words)


def _value(word: str) -> Any:
    try:
        return ast.literal_eval(word)
    except (ValueError, SyntaxError):
        return word


if __name__ == "__main__":
    sys.exit(main())
