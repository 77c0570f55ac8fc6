"""Options that several commands share."""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from asyncsim.cli.words import STRATEGY_HELP
from asyncsim.engine.figures import FIGURES
from asyncsim.errors import ScenarioError
from asyncsim.model.profiles import PROFILES
from asyncsim.model.scenario import Scenario
from asyncsim.study.saving import check_writable, named_file, writing

SCENARIO_HELP = "a scenario file (TOML), or an example, such as example:nightly_ledger"
SEED_HELP = "key of the random numbers (default: 1)"


def add_command(
    commands: Any, name: str, says: str, example: str, figures: bool = False, profiles: bool = True
) -> argparse.ArgumentParser:
    """Add a command, whose help says what it does, shows it, and names figures and profiles."""
    parts = [f"example:\n  asyncsim {name} {example}"]
    if figures:
        parts.append(_listed("figures (those of cost with prices only)", FIGURES))
    if profiles:
        parts.append(_listed("profiles", map(repr, PROFILES)))
    command: argparse.ArgumentParser = commands.add_parser(
        name,
        help=says,
        description=f"{says[0].upper()}{says[1:]}.",
        epilog="\n\n".join(parts),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    return command


def _listed(title: str, names: Iterable[str]) -> str:
    return textwrap.fill(f"{title}: {', '.join(names)}", 79, subsequent_indent="  ")


def add_scenario(command: argparse.ArgumentParser) -> None:
    """Add what every command that plays a scenario is told."""
    command.add_argument("scenario", type=Path, help=SCENARIO_HELP)
    command.add_argument("--seed", type=int, default=1, help=SEED_HELP)
    command.add_argument(
        "--engine",
        default="auto",
        metavar="NAME",
        help="simpy, compiled, or auto (default): compiled where it plays every part",
    )
    add_profile(command)
    command.add_argument(
        "--log",
        type=Path,
        metavar="CSV",
        help="take arrivals and external times from a log, such as example:request_log",
    )
    command.add_argument(
        "--step", metavar="NAME", help="the step whose requests the log holds, if there are several"
    )


def add_jobs(command: argparse.ArgumentParser) -> None:
    """Add the number of processes."""
    command.add_argument(
        "--jobs",
        type=int,
        default=1,
        metavar="N",
        help="on N processes; -1: one per processor (default: 1)",
    )


def add_profile(command: argparse.ArgumentParser) -> None:
    """Add whose answers finishes get."""
    command.add_argument(
        "--profile",
        metavar="NAME",
        help="answer finishes as another engine does, see below (default: as the scenario says)",
    )


def scenario_of(arguments: argparse.Namespace) -> Scenario:
    """Return the scenario that is to be played."""
    scenario = Scenario.load(arguments.scenario)
    if arguments.step and not arguments.log:
        raise ScenarioError(f"--step goes with --log, got --step {arguments.step!r} alone")
    if arguments.log:
        scenario = scenario.with_log(arguments.log, step=arguments.step)
    return scenario.with_profile(arguments.profile)


def add_strategy(command: argparse.ArgumentParser, default: str | None = "callback") -> None:
    """Add the one strategy of a command that plays one."""
    command.add_argument(
        "--strategy",
        default=default,
        action=Once,
        metavar="WORDS",
        help=f"{STRATEGY_HELP} (default: callback)",
    )


def ready_to_write(**outputs: tuple[Path | None, Callable[..., object] | None]) -> None:
    """Check where results go, by option, and make the folders: before the work, not after.

    Each has a path, and a function of it and ``called`` that refuses a bad name, if one does.
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
    """Return the path of a picture to save, checked."""
    from matplotlib.backend_bases import FigureCanvasBase

    kinds = set(FigureCanvasBase.get_supported_filetypes()) - {"pgf"}  # needs LaTeX
    if path.suffix.lstrip(".").lower() not in kinds:
        words = ", ".join(f".{kind}" for kind in sorted(kinds))
        raise ScenarioError(f"{called} must end in one of {words}, got {str(path)!r}")
    return path


class Once(argparse.Action):
    """An option that is refused when it is given a second time, rather than the first forgotten."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        """Keep the value, if it is the first."""
        given = namespace.__dict__.setdefault("given", set())
        if self.dest in given:
            parser.error(f"{option_string} may be given once here; compare takes several")
        given.add(self.dest)
        setattr(namespace, self.dest, values)
