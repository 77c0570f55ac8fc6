"""Options that several commands share."""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import frozen

from asyncsim.engine.metrics import METRICS
from asyncsim.errors import ScenarioError
from asyncsim.eventlog.write import event_log_format
from asyncsim.experiment.output import check_writable, named_file, writing
from asyncsim.model.profiles import PROFILES
from asyncsim.model.scenario import Scenario
from asyncsim.model.scenario_files import scenario_file
from asyncsim.model.units import per_cent
from asyncsim.studies.checklist import Study
from asyncsim.studies.report import report, report_file

STRATEGY_HELP = (
    "how completion is noticed, in words: 'callback', 'callback delay=50ms loss=0.02 "
    "retries=5s,5min', 'polling 15min anchor=clock', 'backoff 1s factor=2 cap=10min', "
    "'long polling 30s', 'callback with safety poll every=5min'; or one for each step or system: "
    "'ledger: callback; others: polling 5min'"
)


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


def share(words: str) -> float:
    """Return a share, also from per cent: ``0.05`` or ``5%``."""
    found = per_cent(words)
    return float(words) if found is None else found


FILES = ("CSV", "DB", "DIR", "FILE", "FOLDER", "HTML", "PNG", "TOML")
TYPES: dict[str, Any] = {
    **{"N": int, "PORT": int, "SEED": int, "SHARE": share, "SPEED": float},
    **dict.fromkeys(FILES, Path),
}
MARKS: dict[str, dict[str, Any]] = {
    "...": {"action": "append"},
    "once": {"action": Once},
    "required": {"required": True},
    "?": {"nargs": "?"},
}
SCENARIO_HELP = "a scenario file (TOML), or an example, such as example:nightly_ledger"
SEED = {"--seed SEED": "seed of the random numbers (default: 1)"}
PROFILE = {
    "--profile NAME": "profile that answers finishes, see below, or a file of your own such as "
    "mine.toml or mine.toml:name (default: the scenario's)"
}
REPORT = {
    "--report HTML": "write a report: findings, pictures, tables and checklist",
    "--title TEXT": "heading of the report (default: the scenario's name)",
    "--author TEXT": "who wrote the report",
    "--purpose TEXT": "what the study is for, at the top of the report",
    "--sources TEXT": "where its data come from, for the report",
    "--preprocessing TEXT": "how they were prepared, for the report",
    "--assumptions TEXT": "what was assumed, for the report",
    "--sharing TEXT": "how others get the model, for the report",
}  # see `write_report`
REPORT_WORDS = [name.split()[0] for name in REPORT if name != "--report HTML"]
JOBS = {"--jobs N": "number of parallel processes; -1: one per processor (default: 1)"}
STRATEGY = {"--strategy WORDS once": f"{STRATEGY_HELP} (default: callback)"}
LOADED = {
    "scenario": SCENARIO_HELP,
    **PROFILE,
    "--log CSV": "take arrivals and external times from a log, such as example:request_log",
    "--step NAME": "the step whose requests the log has, if several steps wait",
}  # of every command that needs a scenario; see `scenario_of`
SCENARIO = {
    **LOADED,
    **SEED,
    "--engine NAME": "simpy, compiled, or auto (default): compiled if it supports every part",
}  # of every command that simulates one
DEFAULTS = {"seed": 1, "engine": "auto", "jobs": 1}


@frozen
class Command:
    """A command: what it does, an example, and its arguments with their help.

    An option is named with its metavar, which determines the type, such as ``"--jobs N"``; one
    without is a flag. It may be followed by ``once``, ``required``, or ``...`` if it may be given
    several times. A name without dashes is a path, and may be left out with ``?``.
    """

    name: str
    run: Callable[[argparse.Namespace], int]
    summary: str
    example: str = ""
    arguments: Mapping[str, str] = {}
    defaults: Mapping[str, Any] = {}
    metrics: bool = False
    profiles: bool = False
    footer: str = ""

    @property
    def options(self) -> list[str]:
        """The names of its options."""
        return [words.split()[0] for words in self.arguments if words.startswith("--")]

    def add_to(self, commands: Any) -> None:
        """Add the command, whose help has the names of metrics and profiles."""
        parts = [f"example:\n  asyncsim {self.name} {self.example}".rstrip()]
        if self.metrics:
            parts.append(_listed("metrics (those of cost need prices)", METRICS))
        if self.profiles:
            parts.append(_listed("profiles", map(repr, PROFILES)))
        command: argparse.ArgumentParser = commands.add_parser(
            self.name,
            help=self.summary,
            description=f"{self.summary[0].upper()}{self.summary[1:]}.",
            epilog="\n\n".join([*parts, self.footer]).rstrip(),
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        for words, text in self.arguments.items():
            _add_argument(command, words, text)
        command.set_defaults(command=self.run, **self.defaults)


def _listed(title: str, names: Iterable[str]) -> str:
    return textwrap.fill(f"{title}: {', '.join(names)}", 79, subsequent_indent="  ")


def _add_argument(command: argparse.ArgumentParser, words: str, text: str) -> None:
    name, *more = words.split()
    metavars = [word for word in more if word.isupper()]
    settings: dict[str, Any] = {"help": text}
    if metavars:
        settings |= {"metavar": metavars[0], "type": TYPES.get(metavars[0], str)}
    elif not name.startswith("--"):
        settings["type"] = Path
    elif not more:
        settings["action"] = "store_true"
    if len(metavars) > 1:
        settings["nargs"] = len(metavars)
    for word in more:
        settings |= {"choices": word.split("|")} if "|" in word else MARKS.get(word, {})
    command.add_argument(name, **settings)


def scenario_of(arguments: argparse.Namespace) -> Scenario:
    """Return the scenario to simulate."""
    scenario = Scenario.load(arguments.scenario)
    if arguments.step and not arguments.log:
        raise ScenarioError(f"--step needs --log, got --step {arguments.step!r} alone")
    if arguments.log:
        scenario = scenario.with_log(arguments.log, step=arguments.step)
    return scenario.with_profile(arguments.profile)


def ready_to_write(arguments: argparse.Namespace, *options: str) -> None:
    """Check the output files of options and create their folders, before the work starts."""
    paths = {option: getattr(arguments, option.strip("-").replace("-", "_")) for option in options}
    wanted: dict[str, Path] = {option: path for option, path in paths.items() if path is not None}
    for option in REPORT_WORDS:
        if getattr(arguments, option.strip("-"), None) is not None and "--report" not in wanted:
            raise ScenarioError(f"{option} needs --report, the file to write")
    for option, path in wanted.items():
        named_file(path, option)
        if option in FORMATS:
            FORMATS[option](path, called=option)
        with writing(path, option):
            is_folder = path.is_dir()
        if is_folder:
            raise ScenarioError(f"{option} {path} is a folder; it must be a file to write")
    for option, path in wanted.items():
        with writing(path, option):
            path.parent.mkdir(parents=True, exist_ok=True)
        check_writable(path, option)


def write_report(arguments: argparse.Namespace, studies: Study | Sequence[Study]) -> None:
    """Write the report of studies, if one is wanted; see `REPORT`."""
    if arguments.report:
        names = [option.strip("-") for option in REPORT_WORDS]
        words = {name: getattr(arguments, name) or "" for name in names}
        arguments.document.wrote("report", report(studies, arguments.report, **words))


def picture_file(path: Path, called: str) -> Path:
    """Return the path of a picture, if its format is supported."""
    from matplotlib.backend_bases import FigureCanvasBase

    kinds = set(FigureCanvasBase.get_supported_filetypes()) - {"pgf"}  # needs LaTeX
    if path.suffix.lstrip(".").lower() not in kinds:
        words = ", ".join(f".{kind}" for kind in sorted(kinds))
        raise ScenarioError(f"{called} must end in one of {words}, got {str(path)!r}")
    return path


FORMATS: dict[str, Callable[..., object]] = {
    "--event-log": event_log_format,
    "--out": scenario_file,
    "--plot": picture_file,
    "--report": report_file,
    "--save": picture_file,
}  # each rejects names without the ending of a format
