"""Options that several commands share, and the parser of strategies in words."""

from __future__ import annotations

import argparse
import re
import textwrap
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import attrs

from asyncsim.engine.metrics import METRICS
from asyncsim.errors import ScenarioError
from asyncsim.experiment.output import check_writable, named_file, writing
from asyncsim.model.profiles import PROFILES
from asyncsim.model.scenario import Scenario
from asyncsim.model.strategies import STRATEGIES, Strategy
from asyncsim.model.units import LONGEST_WORDS, nearest
from asyncsim.model.validation import scenario_error, shown

UNNAMED = {"callback with safety poll": "every"}
"""The argument that a word without a name sets, if it is not the first one."""
CONSTANTS = {"None": None, "True": True, "False": False}
STRATEGY_HELP = (
    "how completion is noticed, in words: 'callback', 'callback delay=50ms loss=0.02 "
    "retries=5s,5min', 'polling 15min anchor=clock', 'backoff 1s factor=2 cap=10min', "
    "'long polling 30s', 'callback with safety poll every=5min'"
)


def parse_strategy(words: str) -> Strategy:
    """Return the strategy that words describe, such as ``"polling 15min anchor=clock"``.

    They are the name of the strategy, its main argument with or without a name, then
    ``name=value``; items of a list are separated by commas.

    Raises
    ------
    ScenarioError
        The message names the wrong word and the nearest valid one.
    """
    if len(words) > LONGEST_WORDS:
        raise scenario_error("strategy", f"must have {LONGEST_WORDS:,} characters at most", words)
    names = sorted(STRATEGIES, key=len, reverse=True)
    name = next((n for n in names if words.strip() == n or words.strip().startswith(n + " ")), None)
    if name is None:
        known = ", ".join(repr(n) for n in STRATEGIES)
        first = words.split("=")[0].rsplit(" ", 1)[0] if "=" in words else words
        raise ScenarioError(
            f"strategy must begin with one of {known}, got {shown(words)}"
            f"{nearest(first, STRATEGIES)}"
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
                f"{cls.__name__} has no argument {shown(key or word)} (it has "
                f"{', '.join(fields)}){nearest(key or word, fields)}"
            )
        if key in values:
            raise ScenarioError(f"strategy {shown(words)} has {key!r} twice")
        values[key] = value.split(",") if key == "retries" else _value(value)
    for field in attributes:
        if field.default is attrs.NOTHING and field.alias not in values:
            raise ScenarioError(
                f"strategy {shown(words)} lacks {field.alias!r}, such as 'polling 15min'"
            )
    return cls(**values)


def _tidy(words: str) -> str:
    """Remove the spaces in ``15 min``, ``anchor = clock`` and ``5s, 5min``."""
    words = re.sub(r"(?<=\d) +(?=[a-z]+\b(?!\s*=))", "", words)
    return re.sub(r"\s*([=,])\s*", r"\1", words)


def _value(word: str) -> Any:
    """Return the Python value of a word: a constant, a number or a text."""
    if word in CONSTANTS:
        return CONSTANTS[word]
    for kind in (int, float):
        with suppress(ValueError):
            return kind(word)
    quoted = len(word) > 1 and word[0] == word[-1] and word[0] in "'\""
    return word[1:-1] if quoted else word


SCENARIO_HELP = "a scenario file (TOML), or an example, such as example:nightly_ledger"
SEED_HELP = "seed of the random numbers (default: 1)"


def add_command(
    commands: Any,
    name: str,
    run: Callable[[argparse.Namespace], int],
    summary: str,
    example: str = "",
    metrics: bool = False,
    profiles: bool = True,
) -> argparse.ArgumentParser:
    """Add a command whose help has a summary, an example, and the names of metrics and profiles."""
    parts = [f"example:\n  asyncsim {name} {example}".rstrip()]
    if metrics:
        parts.append(_listed("metrics (those of cost need prices)", METRICS))
    if profiles:
        parts.append(_listed("profiles", map(repr, PROFILES)))
    command: argparse.ArgumentParser = commands.add_parser(
        name,
        help=summary,
        description=f"{summary[0].upper()}{summary[1:]}.",
        epilog="\n\n".join(parts),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.set_defaults(command=run)
    return command


def _listed(title: str, names: Iterable[str]) -> str:
    return textwrap.fill(f"{title}: {', '.join(names)}", 79, subsequent_indent="  ")


def add_scenario(command: argparse.ArgumentParser) -> None:
    """Add the options of every command that simulates a scenario."""
    command.add_argument("scenario", type=Path, help=SCENARIO_HELP)
    command.add_argument("--seed", type=int, default=1, help=SEED_HELP)
    command.add_argument(
        "--engine",
        default="auto",
        metavar="NAME",
        help="simpy, compiled, or auto (default): compiled if it supports every part",
    )
    add_profile(command)
    command.add_argument(
        "--log",
        type=Path,
        metavar="CSV",
        help="take arrivals and external times from a log, such as example:request_log",
    )
    command.add_argument(
        "--step", metavar="NAME", help="the step whose requests the log has, if several steps wait"
    )


def add_jobs(command: argparse.ArgumentParser) -> None:
    """Add the number of parallel processes."""
    command.add_argument(
        "--jobs",
        type=int,
        default=1,
        metavar="N",
        help="number of parallel processes; -1: one per processor (default: 1)",
    )


def add_profile(command: argparse.ArgumentParser) -> None:
    """Add the profile that answers finishes."""
    command.add_argument(
        "--profile",
        metavar="NAME",
        help="profile that answers finishes, see below (default: the scenario's)",
    )


def scenario_of(arguments: argparse.Namespace) -> Scenario:
    """Return the scenario to simulate."""
    scenario = Scenario.load(arguments.scenario)
    if arguments.step and not arguments.log:
        raise ScenarioError(f"--step needs --log, got --step {arguments.step!r} alone")
    if arguments.log:
        scenario = scenario.with_log(arguments.log, step=arguments.step)
    return scenario.with_profile(arguments.profile)


def add_strategy(command: argparse.ArgumentParser, default: str | None = "callback") -> None:
    """Add the strategy of a command that simulates one."""
    command.add_argument(
        "--strategy",
        default=default,
        action=Once,
        metavar="WORDS",
        help=f"{STRATEGY_HELP} (default: callback)",
    )


def ready_to_write(**outputs: tuple[Path | None, Callable[..., object] | None]) -> None:
    """Check the output files of options and create their folders, before the work starts.

    Each has a path and, optionally, a function of it and ``called`` that rejects invalid names.
    """
    wanted = {
        f"--{name.replace('_', '-')}": (path, check)
        for name, (path, check) in outputs.items()
        if path is not None
    }
    for option, (path, check) in wanted.items():
        named_file(path, option)
        if check is not None:
            check(path, called=option)
        with writing(path, option):
            is_folder = path.is_dir()
        if is_folder:
            raise ScenarioError(f"{option} {path} is a folder; it must be a file to write")
    for option, (path, _) in wanted.items():
        with writing(path, option):
            path.parent.mkdir(parents=True, exist_ok=True)
        check_writable(path, option)


def picture_file(path: Path, called: str) -> Path:
    """Return the path of a picture, if its format is supported."""
    from matplotlib.backend_bases import FigureCanvasBase

    kinds = set(FigureCanvasBase.get_supported_filetypes()) - {"pgf"}  # needs LaTeX
    if path.suffix.lstrip(".").lower() not in kinds:
        words = ", ".join(f".{kind}" for kind in sorted(kinds))
        raise ScenarioError(f"{called} must end in one of {words}, got {str(path)!r}")
    return path


class Once(argparse.Action):
    """An option that may be given only once."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        """Store the first value, and reject a second one."""
        given = namespace.__dict__.setdefault("given", set())
        if self.dest in given:
            parser.error(f"{option_string} may be given once here; compare takes several")
        given.add(self.dest)
        setattr(namespace, self.dest, values)
