"""All commands of ``asyncsim`` except ``serve``: their options, and what they do."""

from __future__ import annotations

import argparse
import math
import shlex
import shutil
import textwrap
from pathlib import Path
from typing import Any

from asyncsim import plots
from asyncsim.calibration.fit import fit
from asyncsim.capacity.questions import fewest_workers, largest_volume
from asyncsim.capacity.search import Options
from asyncsim.cli.options import (
    SEED_HELP,
    STRATEGY_HELP,
    add_command,
    add_jobs,
    add_scenario,
    add_strategy,
    parse_strategy,
    picture_file,
    ready_to_write,
    scenario_of,
)
from asyncsim.engine.metrics import metrics_of
from asyncsim.errors import ScenarioError
from asyncsim.eventlog.write import event_log_format, write_event_log
from asyncsim.experiment.compare import FIGURE, compare
from asyncsim.experiment.file_output import (
    check_folder,
    named_file,
    save_picture,
    save_table,
    writing,
)
from asyncsim.experiment.report import report, report_file
from asyncsim.experiment.simulate import simulate
from asyncsim.experiment.verify import MEANING, verify
from asyncsim.fast.background_compilation import warm_up
from asyncsim.model.examples import example_files, examples_folder
from asyncsim.model.scenario_files import scenario_file

QUESTIONS = {"workers": fewest_workers, "volume": largest_volume}
DEFAULT_STRATEGIES = ("callback delay=50ms", "polling 1min", "polling 15min")


def add_compare(commands: Any) -> None:
    """Add ``asyncsim compare``."""
    command = add_command(
        commands,
        "compare",
        _compare,
        "compare strategies on the same random numbers",
        'example:nightly_ledger --strategy callback --strategy "polling 5min"',
        metrics=True,
    )
    add_scenario(command)
    defaults = ", ".join(map(repr, DEFAULT_STRATEGIES))
    command.add_argument(
        "--strategy",
        action="append",
        metavar="WORDS",
        help=f"{STRATEGY_HELP}; may be given several times (default: {defaults})",
    )
    command.add_argument(
        "--replications", type=int, metavar="N", help="number of runs (default: 10; 5 with --log)"
    )
    command.add_argument(
        "--precision",
        type=float,
        metavar="SHARE",
        help="run until the interval of --figure has this half-width, as a share of its mean",
    )
    command.add_argument(
        "--within", metavar="HALF-WIDTH", help="the same in units of the metric, such as 5s or 0.5"
    )
    command.add_argument(
        "--figure",
        metavar="NAME",
        help=f"metric for --precision and --within, see below (default: {FIGURE})",
    )
    command.add_argument(
        "--warm-up", metavar="DURATION", help="discard the beginning of every run, such as 6h"
    )
    command.add_argument("--save", type=Path, metavar="PNG", help="save the picture")
    command.add_argument("--csv", type=Path, metavar="CSV", help="save the whole table")
    command.add_argument(
        "--report", type=Path, metavar="HTML", help="write a report: tables, picture and checklist"
    )
    add_jobs(command)


def _compare(arguments: argparse.Namespace) -> int:
    strategies = [parse_strategy(words) for words in arguments.strategy or DEFAULT_STRATEGIES]
    ready_to_write(
        csv=(arguments.csv, None),
        save=(arguments.save, picture_file),
        report=(arguments.report, report_file),
    )
    replications = arguments.replications
    targets = (arguments.precision, arguments.within)
    if arguments.figure and targets == (None, None):
        raise ScenarioError(
            f"--figure needs --precision or --within, got --figure {arguments.figure} alone"
        )
    if arguments.log and replications is None and targets == (None, None):
        replications = 5  # with a log little is left to chance
    comparison = compare(
        scenario_of(arguments),
        strategies,
        replications=replications,
        precision=arguments.precision,
        within=_half_width(arguments.within),
        figure=arguments.figure or FIGURE,
        warm_up=arguments.warm_up,
        seed=arguments.seed,
        engine=arguments.engine,
        n_jobs=arguments.jobs,
    )
    print(comparison)
    if arguments.csv:
        save_table(comparison.table, arguments.csv, "--csv")
    if arguments.save:
        save_picture(comparison.plot(), arguments.save, "--save")
        print(f"picture: {arguments.save}")
    if arguments.report:
        print(f"report: {report(comparison, arguments.report)}")
    return 0


def _half_width(text: str | None) -> str | float | None:
    """Return a number, or the text of a duration."""
    try:
        return None if text is None else float(text)
    except ValueError:
        return text


def add_run(commands: Any) -> None:
    """Add ``asyncsim run``."""
    command = add_command(
        commands,
        "run",
        _run,
        "simulate one strategy and print its metrics",
        'example:nightly_ledger --strategy "polling 15min" --out tables/',
    )
    add_scenario(command)
    add_strategy(command)
    command.add_argument(
        "--out", type=Path, metavar="FOLDER", help="write waits, instances, steps … as CSV files"
    )
    command.add_argument(
        "--event-log",
        type=Path,
        metavar="FILE",
        help="write a log for process mining: .csv, .parquet, .xes, .xes.gz, .json (OCEL)",
    )


def _run(arguments: argparse.Namespace) -> int:
    strategy = parse_strategy(arguments.strategy)
    if arguments.out:
        with writing(named_file(arguments.out, "--out"), "--out"):
            is_file = arguments.out.is_file()
        if is_file:
            raise ScenarioError(f"--out {arguments.out} is a file; it must be a folder for tables")
    ready_to_write(event_log=(arguments.event_log, event_log_format))
    if arguments.out:
        check_folder(arguments.out, "--out")
    run = simulate(scenario_of(arguments), strategy, seed=arguments.seed, engine=arguments.engine)
    units, summary = metrics_of(run.scenario), run.summary().iloc[0]
    lossy = bool(summary["unresumed_share"] > 0)
    for name, value in summary.items():
        unit = units[str(name)].unit if name in units else "1"
        absent = isinstance(value, float) and math.isnan(value)
        number = f"{value:,.6g}" if isinstance(value, float) else str(value)
        shown = "–" if absent else number
        counted = plots.counted(str(name)) if lossy else ""
        print(f"{name:24} {shown} {unit if unit != '1' else ''}".rstrip(), end="")
        print(f", of {counted}" if counted else "")
    print("\n".join(run.notes), end="\n" * len(run.notes))
    if arguments.out:
        names = ("waits", "instances", "steps", "deliveries", "server", "open_waits", "overhead")
        for name in names:
            save_table(getattr(run, name), arguments.out / f"{name}.csv", "--out")
        write_event_log(run, arguments.out / "event_log.csv")
        print(f"tables: {arguments.out}")
    if arguments.event_log:
        write_event_log(run, arguments.event_log)
        print(f"event log: {arguments.event_log}")
    return 0


def add_capacity(commands: Any) -> None:
    """Add ``asyncsim capacity``."""
    command = add_command(
        commands,
        "capacity",
        _capacity,
        "find the fewest workers and the largest volume for a target",
        'example:nightly_ledger --target "p95_latency <= 60s" --question workers',
        metrics=True,
    )
    add_scenario(command)
    command.add_argument(
        "--target",
        required=True,
        metavar="WORDS",
        help="such as 'p95_latency <= 60s'; for metrics see below",
    )
    add_strategy(command)
    command.add_argument(
        "--question",
        choices=list(QUESTIONS),
        help="only one of them (default: both); the volume takes longest, especially without Numba",
    )
    command.add_argument(
        "--replications",
        type=int,
        default=20,
        metavar="N",
        help="runs of each value (default: 20)",
    )
    command.add_argument(
        "--report", type=Path, metavar="HTML", help="write a report: tables, pictures and checklist"
    )
    add_jobs(command)


def _capacity(arguments: argparse.Namespace) -> int:
    scenario, strategy = scenario_of(arguments), parse_strategy(arguments.strategy)
    ready_to_write(report=(arguments.report, report_file))
    effort: Options = {
        "replications": arguments.replications,
        "seed": arguments.seed,
        "engine": arguments.engine,
        "n_jobs": arguments.jobs,
    }
    answers = []
    for question, ask in QUESTIONS.items():
        if arguments.question in (None, question):
            answers.append(ask(scenario, strategy, arguments.target, **effort))
            print(answers[-1], flush=True)
    if arguments.report:
        print(f"report: {report(answers, arguments.report)}")
    return 0


def add_fit(commands: Any) -> None:
    """Add ``asyncsim fit``."""
    command = add_command(
        commands,
        "fit",
        _fit,
        "fit a scenario to a log, and report what it does not explain",
        "example:request_log --out fitted.toml --check callback",
        profiles=False,
    )
    command.add_argument(
        "log",
        type=Path,
        help="CSV with SN, submitted, completed; or an event log of process mining; or an example, "
        "such as example:request_log",
    )
    command.add_argument("--out", type=Path, metavar="TOML", help="write the scenario")
    command.add_argument("--plot", type=Path, metavar="PNG", help="save the picture")
    command.add_argument(
        "--check",
        metavar="WORDS",
        help="simulate it under the strategy of the log, such as 'polling 5min', and compare its "
        "metrics with the log's",
    )
    command.add_argument(
        "--report", type=Path, metavar="HTML", help="write a report: findings, check and checklist"
    )
    command.add_argument(
        "--zone", metavar="NAME", help="time zone of the log, such as 'Europe/Berlin'"
    )
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
    command.add_argument("--workers", type=int, metavar="N", help="number of workers of the server")


def _fit(arguments: argparse.Namespace) -> int:
    strategy = parse_strategy(arguments.check) if arguments.check else None
    ready_to_write(
        out=(arguments.out, scenario_file),
        plot=(arguments.plot, picture_file),
        report=(arguments.report, report_file),
    )
    system: Any = dict(words.split("=", 1) for words in arguments.system if "=" in words)
    plain = [words for words in arguments.system if "=" not in words]
    if len(plain) > 1 or (plain and system):
        raise ScenarioError("--system: give one name, or step=system for each step that waits")
    system = system or (plain[0] if plain else None)
    found = fit(
        arguments.log,
        zone=arguments.zone,
        system=system,
        requests=arguments.requests,
        period=tuple(arguments.period) if arguments.period else None,
        workers=arguments.workers,
    )
    print(found)
    check = found.check(strategy) if strategy else None
    if check is not None:
        print(f"\n{check}\n{check.outside.to_string(index=False) if len(check.outside) else ''}")
    if arguments.out:
        found.scenario.save(arguments.out)
        print(f"\nscenario: {arguments.out}")
    if arguments.plot:
        save_picture(found.plot(), arguments.plot, "--plot")
        print(f"picture: {arguments.plot}")
    if arguments.report:
        print(f"report: {report([found, check] if check else [found], arguments.report)}")
    return 0


def add_verify(commands: Any) -> None:
    """Add ``asyncsim verify``."""
    command = add_command(
        commands, "verify", _verify, "compare both engines with theory", "--quick", profiles=False
    )
    meaning = textwrap.fill(f"verdicts: {MEANING}", 79, subsequent_indent="  ")
    command.epilog = (
        f"{command.epilog}\n\n{meaning}\n\nexit status: 0 if every verdict is ok, 1 if one is not"
    )
    command.add_argument(
        "--quick",
        action="store_true",
        help="skip the longest cases; takes 30 s instead of minutes",
    )
    command.add_argument(
        "--replications",
        type=int,
        default=20,
        metavar="N",
        help="runs of each case (default: 20); two of a deterministic case",
    )
    command.add_argument("--seed", type=int, default=1, help=SEED_HELP)
    add_jobs(command)


def _verify(arguments: argparse.Namespace) -> int:
    found = verify(
        arguments.replications, quick=arguments.quick, seed=arguments.seed, n_jobs=arguments.jobs
    )
    print(found)
    return 0 if found.passed else 1


def add_warm_up(commands: Any) -> None:
    """Add ``asyncsim warm-up``."""
    summary = "compile the compiled engine ahead of the first run, once per installation"
    add_command(commands, "warm-up", _warm_up, summary, profiles=False)


def _warm_up(arguments: argparse.Namespace) -> int:
    print(warm_up())
    return 0


def add_examples(commands: Any) -> None:
    """Add ``asyncsim examples``."""
    command = add_command(
        commands,
        "examples",
        _examples,
        "write the notebooks of the course and their data",
        "course",
        profiles=False,
    )
    command.add_argument(
        "folder",
        type=Path,
        metavar="DIR",
        help="folder: notebooks in DIR/notebooks, scenario files and a log in DIR/data",
    )
    command.add_argument("--force", action="store_true", help="overwrite existing files")


def _examples(arguments: argparse.Namespace) -> int:
    source, folder = examples_folder(), named_file(arguments.folder, "DIR")
    examples = example_files()
    there = [str(folder / one) for one in examples if (folder / one).exists()]
    if there and not arguments.force:
        some = ", ".join(there[:3]) + (f" and {len(there) - 3} more" if len(there) > 3 else "")
        raise ScenarioError(f"{some} would be overwritten; choose another folder, or use --force")
    for one in examples:
        check_folder((folder / one).parent, "DIR")
        with writing(folder / one, "DIR"):
            shutil.copyfile(source / one, folder / one)
            shutil.copymode(source / one, folder / one)
    print(
        f"{len(examples)} files in {folder / 'notebooks'} and {folder / 'data'}. To open the "
        f"course (it needs pip install 'asyncsim[fast,serve,lab]'):\n"
        f"  jupyter lab {shlex.quote(str(folder / 'notebooks' / '00_start_here.ipynb'))}"
    )
    return 0
