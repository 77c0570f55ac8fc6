"""All commands of ``asyncsim`` except ``serve``: their options, and what they do."""

from __future__ import annotations

import argparse
import csv
import json
import math
import shlex
import shutil
import textwrap
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from asyncsim.calibration.fit import Fit, fit
from asyncsim.capacity.explain import Explanation, explain
from asyncsim.capacity.questions import (
    Capacity,
    fewest_workers,
    largest_volume,
    longest_interval,
)
from asyncsim.capacity.search import Options
from asyncsim.capacity.target import Target
from asyncsim.cli import document, options
from asyncsim.cli.document import Parts, rows_of
from asyncsim.cli.new_file import SYSTEMS as NEW_SYSTEMS
from asyncsim.cli.new_file import new_file
from asyncsim.cli.options import Command, ready_to_write, scenario_of
from asyncsim.cli.serve_command import SERVE
from asyncsim.cli.strategy_parser import parse_strategy, value_of
from asyncsim.engine.metrics import metrics_of
from asyncsim.engine.run import Run
from asyncsim.errors import ScenarioError
from asyncsim.eventlog.write import write_event_log
from asyncsim.experiment.compare import METRIC, Comparison, compare
from asyncsim.experiment.output import check_folder, named_file, save_picture, save_table, writing
from asyncsim.experiment.simulate import simulate
from asyncsim.fast.background_compilation import warm_up
from asyncsim.model.examples import example_files, examples_folder
from asyncsim.model.scenario_files import scenario_file
from asyncsim.model.schema import json_schema
from asyncsim.model.validation import choice, shown
from asyncsim.studies.sweep import Sweep, sweep
from asyncsim.verification.verify import MEANING, verify

QUESTIONS: dict[str, Callable[..., Capacity]] = {
    "workers": fewest_workers,
    "volume": largest_volume,
    "interval": lambda scenario, strategy, target, **effort: longest_interval(
        scenario, target, strategy, **effort
    ),
}
DEFAULT_QUESTIONS = ("workers", "volume")
DEFAULT_STRATEGIES = ("callback delay=50ms", "polling 1min", "polling 15min")
SWEPT_STRATEGIES = ("callback delay=50ms", "polling 15min")


def _compare(arguments: argparse.Namespace) -> int:
    strategies = [parse_strategy(words) for words in arguments.strategy or DEFAULT_STRATEGIES]
    ready_to_write(arguments, "--csv", "--save", "--report")
    replications = arguments.replications
    within: str | float | None = arguments.within
    with suppress(TypeError, ValueError):  # otherwise a duration in words, or None
        within = float(arguments.within)
    targets = (arguments.precision, within)
    if arguments.metric and targets == (None, None):
        raise ScenarioError(
            f"--metric needs --precision or --within, got --metric {arguments.metric} alone"
        )
    if arguments.log and replications is None and targets == (None, None):
        replications = 5  # with a log little is left to chance
    scenario = scenario_of(arguments)
    if arguments.target:
        Target.parse(arguments.target, scenario)  # a mistake in it is reported before the work
    comparison = compare(
        scenario,
        strategies,
        replications=replications,
        precision=arguments.precision,
        within=within,
        metric=arguments.metric or METRIC,
        warm_up=arguments.warm_up,
        seed=arguments.seed,
        engine=arguments.engine,
        n_jobs=arguments.jobs,
    )
    arguments.document.show(
        comparison, lambda found: _played(found) | {"by_step": rows_of(found.by_step)}
    )
    _save(comparison, arguments)
    answers = []
    for strategy in strategies if arguments.target else ():
        answers.append(
            fewest_workers(
                comparison.scenario,
                strategy,
                arguments.target,
                seed=arguments.seed,
                engine=arguments.engine,
                n_jobs=arguments.jobs,
            )
        )
        arguments.document.show(
            answers[-1], lambda one: {"answers": _of_answer(one)["answers"], "notes": one.notes}
        )
    options.write_report(arguments, [comparison, *answers])
    return 0


def _played(found: Comparison | Sweep) -> Parts:
    """Return the parts of the JSON document that every study has."""
    return {
        "scenario": found.scenario.name,
        "replications": found.replications,
        "seed": found.seed,
        "confidence": found.confidence,
        "rows": rows_of(found.table),
        "findings": found.findings(),
        "notes": found.notes,
    }


def _save(found: Comparison | Sweep, arguments: argparse.Namespace) -> None:
    """Save table and picture where the options want them."""
    if arguments.csv:
        save_table(found.table, arguments.csv, "--csv")
        arguments.document.wrote("table", arguments.csv, shown=False)
    if arguments.save:
        drawn = found.plot(arguments.metric) if isinstance(found, Sweep) else found.plot()
        save_picture(drawn, arguments.save, "--save")
        arguments.document.wrote("picture", arguments.save)


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
        "--precision SHARE": "run until the interval of --metric has this half-width, as a share "
        "of its mean",
        "--within HALF-WIDTH": "the same in units of the metric, such as 5s or 0.5",
        "--metric NAME": f"metric for --precision and --within, see below (default: {METRIC})",
        "--warm-up DURATION": "discard the beginning of every run, such as 6h",
        "--target WORDS": "find as well the fewest workers of each strategy for a target such as "
        "'p95_latency <= 60s'",
        "--save PNG": "save the picture",
        "--csv CSV": "save the whole table",
        **options.REPORT,
        **options.JOBS,
        **document.OPTION,
    },
    options.DEFAULTS,
    metrics=True,
    profiles=True,
)


def _sweep(arguments: argparse.Namespace) -> int:
    grid = dict(_varied(words) for words in arguments.vary)
    if len(grid) < len(arguments.vary):
        raise ScenarioError("--vary: give each field once, with all of its values")
    strategies = [parse_strategy(words) for words in arguments.strategy or SWEPT_STRATEGIES]
    scenario = scenario_of(arguments)
    choice("--metric", arguments.metric, metrics_of(scenario))
    ready_to_write(arguments, "--csv", "--save", "--report")
    found = sweep(
        scenario,
        grid,
        strategies,
        arguments.replications,
        arguments.seed,
        n_jobs=arguments.jobs,
        resume=arguments.resume,
        engine=arguments.engine,
    )
    arguments.document.show(found, _played, found.text(arguments.metric))
    _save(found, arguments)
    options.write_report(arguments, [found])
    return 0


def _varied(words: str) -> tuple[str, list[Any]]:
    """Return a field and its values from words such as ``server.workers=2,4,8``.

    >>> _varied('systems.desk.days=Mon-Fri, "Mon, Tue"')
    ('systems.desk.days', ['Mon-Fri', 'Mon, Tue'])
    """
    name, _, values = (part.strip() for part in words.partition("="))
    with suppress(csv.Error):
        if name and values:
            (row,) = csv.reader([values], skipinitialspace=True, strict=True)
            return name, [value_of(name, value.strip()) for value in row]
    raise ScenarioError(
        f"--vary must be a field and its values, such as 'server.workers=2,4,8', got {shown(words)}"
    )


SWEEP = Command(
    "sweep",
    _sweep,
    "vary fields of a scenario, and simulate all combinations",
    'example:nightly_ledger --vary "server.workers=2,4,8" --vary "strategy.interval=1min,15min"',
    {
        **options.SCENARIO,
        "--vary FIELD=VALUES required ...": "dotted name of a field and its values, such as "
        "'server.workers=2,4,8', 'systems.ledger.start=21:00,22:00' or "
        "'strategy.interval=1min,15min' (of the strategies that have it); a value with a comma "
        "stands in double quotes; may be given several times",
        "--strategy WORDS ...": f"{options.STRATEGY_HELP}; may be given several times (default: "
        f"{', '.join(map(repr, SWEPT_STRATEGIES))})",
        "--replications N": "runs of each point (default: 10)",
        "--metric NAME": "the metric of table and picture, see below (default: mean_latency)",
        "--save PNG": "save the picture: the metric over the fields",
        "--csv CSV": "save the whole table, with all metrics",
        "--resume DB": "keep finished points in this file, and do not play those that it has",
        **options.REPORT,
        **options.JOBS,
        **document.OPTION,
    },
    options.DEFAULTS | {"replications": 10, "metric": "mean_latency"},
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
    arguments.document.show(run, _of_run)
    if arguments.out:
        names = ("waits", "instances", "steps", "deliveries", "server", "open_waits", "overhead")
        for name in names:
            save_table(getattr(run, name), arguments.out / f"{name}.csv", "--out")
        write_event_log(run, arguments.out / "event_log.csv")
        arguments.document.wrote("tables", arguments.out)
    if arguments.event_log:
        write_event_log(run, arguments.event_log)
        arguments.document.wrote("event log", arguments.event_log)
    return 0


def _of_run(run: Run) -> Parts:
    """Return the parts of the JSON document: a metric is a mean without an interval."""
    summary, metrics = run.summary().iloc[0].to_dict(), metrics_of(run.scenario)
    rows = [
        {
            **{"metric": name, "unit": metrics[name].unit, "strategy": run.strategy.label},
            **{"mean": summary[name], "low": None, "high": None},
            **{"n": int(not math.isnan(summary[name])), "meaning": metrics[name].meaning},
        }
        for name in metrics
    ]
    head = {name: summary[name] for name in ("scenario", "seed", "engine", "instances")}
    played = {"replications": 1, "rows": rows, "findings": run.findings()}
    return head | played | {"notes": run.notes}


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
        **document.OPTION,
    },
    options.DEFAULTS | {"strategy": "callback"},
    profiles=True,
)


def _capacity(arguments: argparse.Namespace) -> int:
    scenario, words = scenario_of(arguments), arguments.strategy
    strategies = {"interval": parse_strategy(words) if words else None}  # its own is polling
    ready_to_write(arguments, "--report")
    effort: Options = {
        "replications": arguments.replications,
        "seed": arguments.seed,
        "engine": arguments.engine,
        "n_jobs": arguments.jobs,
    }
    answers = []
    for question, ask in QUESTIONS.items():
        if question in ([arguments.question] if arguments.question else DEFAULT_QUESTIONS):
            strategy = strategies.get(question, parse_strategy(words or "callback"))
            answers.append(ask(scenario, strategy, arguments.target, **effort))
            arguments.document.show(answers[-1], _of_answer)
    options.write_report(arguments, answers)
    return 0


def _of_answer(answer: Capacity) -> Parts:
    words = ("question", "text", "field", "value", "low", "high")
    return {
        "scenario": answer.scenario.name,
        "replications": answer.replications,
        "seed": answer.seed,
        "confidence": answer.confidence,
        "answers": [{name: getattr(answer, name) for name in words}],
        "rows": rows_of(answer.table, question=answer.question),
        "notes": answer.notes,
    }


CAPACITY = Command(
    "capacity",
    _capacity,
    "find the workers, the volume or the interval that meet a target",
    'example:nightly_ledger --target "p95_latency <= 60s" --question workers',
    {
        **options.SCENARIO,
        "--target WORDS required": "such as 'p95_latency <= 60s'; for metrics see below",
        **options.STRATEGY,
        f"--question {'|'.join(QUESTIONS)}": "fewest workers, largest volume, or longest interval "
        "of checks, by default of polling (default: workers and volume); the volume takes "
        "longest, especially without Numba",
        "--replications N": "runs of each value (default: 20)",
        **options.REPORT,
        **options.JOBS,
        **document.OPTION,
    },
    options.DEFAULTS | {"replications": 20},
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
    arguments.document.show(found, _of_fit)
    check = found.check(strategy) if strategy else None
    if check is not None:
        rows = {"check": rows_of(check.table)}
        arguments.document.show(check, lambda _: rows, f"\n{check}")
    if arguments.out:
        found.scenario.save(arguments.out)
        arguments.document.wrote("scenario", arguments.out, before="\n")
    if arguments.plot:
        save_picture(found.plot(), arguments.plot, "--plot")
        arguments.document.wrote("picture", arguments.plot)
    options.write_report(arguments, [found, check] if check else [found])
    return 0


def _of_fit(found: Fit) -> Parts:
    return {
        "scenario": found.scenario.name,
        "rows": rows_of(found.account),
        "unexplained": rows_of(found.unexplained),
        "problems": rows_of(found.problems),
    }


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
        **document.OPTION,
    },
    {"system": []},
)


def _verify(arguments: argparse.Namespace) -> int:
    found = verify(
        arguments.replications, quick=arguments.quick, seed=arguments.seed, n_jobs=arguments.jobs
    )
    played = {"replications": arguments.replications, "seed": arguments.seed}
    arguments.document.show(
        found, lambda one: played | {"passed": one.passed, "rows": rows_of(one.table)}
    )
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
        **document.OPTION,
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
    strategy = parse_strategy(arguments.strategy)
    ready_to_write(arguments, "--report")
    found = explain(scenario_of(arguments), strategy)
    arguments.document.show(found, _of_explanation)
    options.write_report(arguments, found)
    return 0


def _of_explanation(found: Explanation) -> Parts:
    return {
        "scenario": found.scenario.name,
        "findings": found.sentences,
        "bottleneck": found.bottleneck,
        "overloaded": found.overloaded,
        "rows": rows_of(found.table, strategy=found.strategy),
    }


EXPLAIN = Command(
    "explain",
    _explain,
    "report what theory expects, and why, without a run",
    'example:nightly_ledger --strategy "polling 15min anchor=random"',
    {**options.LOADED, **options.STRATEGY, **options.REPORT, **document.OPTION},
    {"strategy": "callback"},
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
    *(COMPARE, RUN, EXPLAIN, CAPACITY, SWEEP, SERVE, FIT, VERIFY, WARM_UP),
    *(EXAMPLES, NEW, SCHEMA),
)
