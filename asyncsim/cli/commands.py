"""All commands of ``asyncsim`` except ``serve``: their options, and what they do."""

from __future__ import annotations

import argparse
import json
import shlex
import shutil
import textwrap
from contextlib import suppress
from typing import Any

from asyncsim import plots
from asyncsim.calibration.fit import fit
from asyncsim.capacity.explain import explain
from asyncsim.capacity.questions import fewest_workers, largest_volume
from asyncsim.capacity.search import Options
from asyncsim.cli import options
from asyncsim.cli.new_file import SYSTEMS as NEW_SYSTEMS
from asyncsim.cli.new_file import new_file
from asyncsim.cli.options import Command, parse_strategy, ready_to_write, scenario_of
from asyncsim.cli.serve_command import SERVE
from asyncsim.engine.metrics import metrics_of
from asyncsim.errors import ScenarioError
from asyncsim.eventlog.write import write_event_log
from asyncsim.experiment.compare import FIGURE, compare
from asyncsim.experiment.output import check_folder, named_file, save_picture, save_table, writing
from asyncsim.experiment.simulate import simulate
from asyncsim.fast.background_compilation import warm_up
from asyncsim.model.examples import example_files, examples_folder
from asyncsim.model.scenario_files import scenario_file
from asyncsim.model.schema import json_schema
from asyncsim.verification.verify import MEANING, verify

QUESTIONS = {"workers": fewest_workers, "volume": largest_volume}
DEFAULT_STRATEGIES = ("callback delay=50ms", "polling 1min", "polling 15min")


def _compare(arguments: argparse.Namespace) -> int:
    strategies = [parse_strategy(words) for words in arguments.strategy or DEFAULT_STRATEGIES]
    ready_to_write(arguments, "--csv", "--save", "--report")
    replications = arguments.replications
    within: str | float | None = arguments.within
    with suppress(TypeError, ValueError):  # otherwise a duration in words, or None
        within = float(arguments.within)
    targets = (arguments.precision, within)
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
        within=within,
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
    options.write_report(arguments, comparison)
    return 0


COMPARE = Command(
    "compare",
    _compare,
    "compare strategies on the same random numbers",
    'example:nightly_ledger --strategy callback --strategy "polling 5min"',
    {
        **options.SCENARIO,
        "--strategy WORDS ...": f"{options.STRATEGY_HELP}; may be given several times (default: "
        f"{', '.join(map(repr, DEFAULT_STRATEGIES))})",
        "--replications N": "number of runs (default: 10; 5 with --log)",
        "--precision SHARE": "run until the interval of --figure has this half-width, as a share "
        "of its mean",
        "--within HALF-WIDTH": "the same in units of the metric, such as 5s or 0.5",
        "--figure NAME": f"metric for --precision and --within, see below (default: {FIGURE})",
        "--warm-up DURATION": "discard the beginning of every run, such as 6h",
        "--save PNG": "save the picture",
        "--csv CSV": "save the whole table",
        **options.REPORT,
        **options.JOBS,
    },
    options.DEFAULTS,
    metrics=True,
    profiles=True,
)


def _run(arguments: argparse.Namespace) -> int:
    strategy = parse_strategy(arguments.strategy)
    if arguments.out:
        with writing(named_file(arguments.out, "--out"), "--out"):
            is_file = arguments.out.is_file()
        if is_file:
            raise ScenarioError(f"--out {arguments.out} is a file; it must be a folder for tables")
    ready_to_write(arguments, "--event-log")
    if arguments.out:
        check_folder(arguments.out, "--out")
    run = simulate(scenario_of(arguments), strategy, seed=arguments.seed, engine=arguments.engine)
    units, summary = metrics_of(run.scenario), run.summary().iloc[0]
    lossy = bool(summary["unresumed_share"] > 0)
    for name, value in summary.items():
        unit = units[str(name)].unit if name in units else "1"
        number = f"{value:,.6g}" if isinstance(value, float) else str(value)
        shown = "–" if number == "nan" else number
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


RUN = Command(
    "run",
    _run,
    "simulate one strategy and print its metrics",
    'example:nightly_ledger --strategy "polling 15min" --out tables/',
    {
        **options.SCENARIO,
        **options.STRATEGY,
        "--out FOLDER": "write waits, instances, steps … as CSV files",
        "--event-log FILE": "write a log for process mining: .csv, .parquet, .xes, .xes.gz, .json "
        "(OCEL)",
    },
    options.DEFAULTS | {"strategy": "callback"},
    profiles=True,
)


def _capacity(arguments: argparse.Namespace) -> int:
    scenario, strategy = scenario_of(arguments), parse_strategy(arguments.strategy)
    ready_to_write(arguments, "--report")
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
    options.write_report(arguments, answers)
    return 0


CAPACITY = Command(
    "capacity",
    _capacity,
    "find the fewest workers and the largest volume for a target",
    'example:nightly_ledger --target "p95_latency <= 60s" --question workers',
    {
        **options.SCENARIO,
        "--target WORDS required": "such as 'p95_latency <= 60s'; for metrics see below",
        **options.STRATEGY,
        f"--question {'|'.join(QUESTIONS)}": "only one of them (default: both); the volume takes "
        "longest, especially without Numba",
        "--replications N": "runs of each value (default: 20)",
        **options.REPORT,
        **options.JOBS,
    },
    options.DEFAULTS | {"replications": 20, "strategy": "callback"},
    metrics=True,
    profiles=True,
)


def _fit(arguments: argparse.Namespace) -> int:
    strategy = parse_strategy(arguments.check) if arguments.check else None
    ready_to_write(arguments, "--out", "--plot", "--report")
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
    options.write_report(arguments, [found, check] if check else [found])
    return 0


FIT = Command(
    "fit",
    _fit,
    "fit a scenario to a log, and report what it does not explain",
    "example:request_log --out fitted.toml --check callback",
    {
        "log": "CSV with SN, submitted, completed; or an event log of process mining; or an "
        "example, such as example:request_log",
        "--out TOML": "write the scenario",
        "--plot PNG": "save the picture",
        "--check WORDS": "simulate it under the strategy of the log, such as 'polling 5min', and "
        "compare its metrics with the log's",
        **options.REPORT,
        "--zone NAME": "time zone of the log, such as 'Europe/Berlin'",
        "--system WORDS ...": "name of the external system, or 'step=system' for each step that "
        "waits",
        "--requests CSV": "completions for an event log's serial numbers",
        "--period DAY DAY": "first and last day that the log covers",
        "--workers N": "number of workers of the server",
    },
    {"system": []},
)


def _verify(arguments: argparse.Namespace) -> int:
    found = verify(
        arguments.replications, quick=arguments.quick, seed=arguments.seed, n_jobs=arguments.jobs
    )
    print(found)
    return 0 if found.passed else 1


VERIFY = Command(
    "verify",
    _verify,
    "compare both engines with theory",
    "--quick",
    {
        "--quick": "skip the longest cases; takes 30 s instead of minutes",
        "--replications N": "runs of each case (default: 20); two of a deterministic case",
        **options.SEED,
        **options.JOBS,
    },
    {"jobs": 1, "replications": 20, "seed": 1},
    footer=textwrap.fill(f"verdicts: {MEANING}", 79, subsequent_indent="  ")
    + "\n\nexit status: 0 if every verdict is ok, 1 if one is not",
)


def _warm_up(arguments: argparse.Namespace) -> int:
    print(warm_up())
    return 0


WARM_UP = Command(
    "warm-up", _warm_up, "compile the compiled engine ahead of the first run, once per installation"
)


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


EXAMPLES = Command(
    "examples",
    _examples,
    "write the notebooks of the course and their data",
    "course",
    {
        "folder DIR": "folder: notebooks in DIR/notebooks, scenario files and a log in DIR/data",
        "--force": "overwrite existing files",
    },
)


def _explain(arguments: argparse.Namespace) -> int:
    print(explain(scenario_of(arguments), parse_strategy(arguments.strategy)))
    return 0


EXPLAIN = Command(
    "explain",
    _explain,
    "report what theory expects, and why, without a run",
    'example:nightly_ledger --strategy "polling 15min anchor=random"',
    {**options.SCENARIO, **options.STRATEGY},
    options.DEFAULTS | {"strategy": "callback"},
    profiles=True,
)


def _new(arguments: argparse.Namespace) -> int:
    path = scenario_file(arguments.file, "FILE")
    if path.exists() and not arguments.force:
        raise ScenarioError(f"{path} exists; choose another name, or use --force")
    with writing(path, "FILE"):
        path.write_text(new_file(arguments.kind), encoding="utf-8", newline="\n")
    print(f"{path}: edit it, then: asyncsim compare {shlex.quote(str(path))}")
    return 0


NEW = Command(
    "new",
    _new,
    "write a scenario file to begin with, with a comment for every key",
    "mine.toml --kind people",
    {
        "file FILE": "the file to write, which ends in .toml",
        f"--kind {'|'.join(NEW_SYSTEMS)}": "its external system (default: nightly-batch)",
        "--force": "overwrite an existing file",
    },
    {"kind": "nightly-batch"},
)


def _schema(arguments: argparse.Namespace) -> int:
    text = json.dumps(json_schema(), indent=2)
    if arguments.out is None:
        print(text)
        return 0
    with writing(arguments.out, "--out"):
        arguments.out.write_text(text + "\n", encoding="utf-8", newline="\n")
    print(f"{arguments.out}: begin a scenario file with the line  #:schema {arguments.out}")
    return 0


SCHEMA = Command(
    "schema",
    _schema,
    "print the JSON Schema of scenario files, with which editors complete and check them",
    "--out asyncsim.schema.json",
    {"--out FILE": "write it to a file"},
)
COMMANDS = (
    *(COMPARE, RUN, EXPLAIN, CAPACITY, SERVE, FIT, VERIFY, WARM_UP),
    *(EXAMPLES, NEW, SCHEMA),
)
