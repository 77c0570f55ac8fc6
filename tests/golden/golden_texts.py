"""What a user reads: transcripts of commands, answers, accounts of fits, a report, the REST face.

Each text is plain, so that a difference reads well. Its numbers are also kept by themselves, one on
a line: a better sentence changes the text alone, a changed result changes both.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import io
import json
import os
import re
import runpy
import shlex
import sys
import tempfile
import urllib.error
import urllib.request
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pandas as pd
from golden_scenarios import DATA, of_data

import asyncsim as sim

TEXTS = Path(__file__).parent / "texts"
VERSIONS = Path(__file__).parent / "versions.json"
DAYTIME = sim.Poisson("60/day", between=("08:00", "20:00"))
NUMBER = re.compile(
    r"(?:(?<=[\s(\[=>,:])-)?(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?(?:e[-+]?\d+)?"
)
PROGRESS = re.compile(r"\[(?:\d\d:)?\d\d:\d\d[<,][^\]]*/s\]|0run \[")
LONG_NUMBER = re.compile(r"-?\d*\.\d{9,}(?:e[-+]?\d+)?")
TOKEN = "a token for tests only"
WORDS_OF_OPENAPI = {"description", "summary", "title", "example", "examples", "externalDocs"}


def versions() -> dict[str, str]:
    """Return what texts depend on beside this package."""
    names = ("fastapi", "matplotlib", "numpy", "pandas", "pydantic", "scipy")
    found = {name: importlib.metadata.version(name) for name in names}
    return {"python": "{}.{}".format(*sys.version_info)} | found


def plain(text: str, folder: Path | None = None) -> str:
    """Return a text without what differs from day to day, or in the last bits of a number."""
    if folder is not None:
        text = text.replace(str(folder), "FOLDER")
    text = LONG_NUMBER.sub(lambda found: f"{float(found[0]):.9g}", text)
    lines = [line.rstrip() for line in text.strip().splitlines() if not PROGRESS.search(line)]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)) + "\n"


def numbers_of(text: str) -> list[float]:
    """Return the numbers of a text in order.

    >>> numbers_of("9 workers: -1.5 s for 2,000 steps")
    [9.0, -1.5, 2000.0]
    """
    return [float(found[0].replace(",", "")) for found in NUMBER.finditer(text)]


# --- the command line ---------------------------------------------------------------------------

COMMANDS: dict[str, list[str]] = {
    "compare": [
        "compare ledger.toml --replications 2",
        'compare ledger.toml --strategy callback --strategy "polling 5min" --replications 3 '
        "--csv compared.csv",
        "compare mail.toml --replications 3 --seed 2 "
        '--strategy "callback loss=0.1 retries=1min,10min" '
        '--strategy "callback with safety poll 1h loss=0.2" --strategy "long polling 10min" '
        '--strategy "backoff 1min factor=2 cap=1h" --strategy "polling 10min anchor=clock"',
        "compare mail.toml --replications 2 --warm-up 6h --profile 'camunda 8' "
        "--strategy 'callback delay=1s duplicates=0.2'",
        "compare ledger.toml --precision 0.1 --strategy 'polling 15min'",
        "compare ledger.toml --within 20s --strategy 'polling 15min'",
        "compare ledger.toml --log log.csv --strategy callback --strategy 'polling 1h'",
    ],
    "run": [
        "run ledger.toml --strategy 'polling 15min'",
        "run mail.toml --strategy 'callback loss=0.3' --engine simpy",
        "run mail.toml --strategy 'callback with safety poll 30min loss=0.3' --out tables",
        "run lines.toml --strategy 'backoff 1min' --engine compiled --event-log events.xes",
        "run herd.toml --strategy 'callback retries=1s,2s,4s,8s'",
        "run herd.toml",
    ],
    "capacity": [
        "capacity mail.toml --target 'p95_latency <= 20s' --replications 3",
        "capacity ledger.toml --target 'p95_latency <= 50ms' --question workers --replications 3",
        "capacity mail.toml --target 'mean_cycle_time <= 1s' --question workers --replications 3",
        "capacity mail.toml --target 'cost <= 50' --question workers --replications 3 "
        "--strategy 'polling 10min'",
    ],
    "fit": [
        "fit log.csv --out fitted.toml",
        "fit requests.csv --system ledger --check 'callback delay=50ms' --zone Europe/Berlin",
        "run mail.toml --strategy 'polling 10min' --out tables",
        "fit tables/event_log.csv --workers 2 --out events.toml",
    ],
    "bad_input": [
        "",
        "comparr ledger.toml",
        "compare nowhere.toml",
        "compare ledger.toml --replications 0",
        "compare ledger.toml --strategy 'pollin 1min'",
        "compare ledger.toml --strategy 'polling -5min'",
        "compare ledger.toml --strategy 'polling 1min jitter=2min'",
        "compare ledger.toml --strategy 'polling 1min ancor=clock'",
        "compare ledger.toml --engine fast",
        "compare ledger.toml --csv .",
        "compare ledger.toml --save picture.doc",
        "compare ledger.toml --log nowhere.csv",
        "compare ledger.toml --profile camund",
        "compare ledger.toml --step post",
        "compare wrong_key.toml",
        "compare wrong_kind.toml",
        "compare wrong_value.toml",
        "compare no_toml.toml",
        "run ledger.toml --out ledger.toml",
        "run ledger.toml --event-log events.doc",
        "run ledger.toml --strategy callback --strategy callback",
        "capacity ledger.toml",
        "capacity ledger.toml --target 'p95_latncy <= 5s'",
        "capacity ledger.toml --target 'p95_latency < x'",
        "fit nowhere.csv",
        "fit ledger.toml",
        "fit log.csv --out fitted.json",
        "fit log.csv --check polling",
    ],
}


def _files(folder: Path) -> None:
    """Write the files that commands read."""
    data = of_data()
    short = {"ledger": "nightly_ledger", "mail": "capstone", "lines": "lines_of_business"}
    for name, known in (short | {"herd": "herd_rate_limit"}).items():
        data[known].save(folder / f"{name}.toml")
    text = (folder / "ledger.toml").read_text(encoding="utf-8")
    for name, old, new in (
        ("wrong_key", "callback_work", "callback_wrk"),
        ("wrong_kind", '"nightly batch"', '"nightly bach"'),
        ("wrong_value", '"150ms"', '"-150ms"'),
        ("no_toml", "[server]", "[server"),
    ):
        assert old in text
        (folder / f"{name}.toml").write_text(text.replace(old, new), encoding="utf-8")
    rows = (DATA / "request_log.csv").read_text(encoding="utf-8").splitlines()
    rows = [*rows[:200], "x_31,2026-03-02 10:00:00,", *rows[200:201], "y_31,never,2026-03-02"]
    (folder / "log.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    requests(sim.NightlyBatch("22:00", sim.exponential("2s"))).to_csv(
        folder / "requests.csv", index=False
    )


def transcript(commands: list[str]) -> str:
    """Return what commands print, with their exit codes, and the small files they write."""
    parts = []
    with tempfile.TemporaryDirectory() as name, contextlib.chdir(name):
        folder = Path(name)
        _files(folder)
        for words in commands:
            before = {path: path.stat().st_mtime_ns for path in folder.rglob("*.*")}
            out, code = _typed(shlex.split(words))
            parts += [f"$ asyncsim {words}", out, f"exit code {code}"]
            for path in sorted(folder.rglob("*.*")):
                if path.is_file() and before.get(path) != path.stat().st_mtime_ns:
                    parts.append(_written(path, path.relative_to(folder)))
            parts.append("")
        return plain("\n".join(parts), folder)


def _written(path: Path, shown: Path) -> str:
    """Return a file's name and, if it is a scenario or a short table, what is in it."""
    text = path.read_text(encoding="utf-8")
    lines = len(text.splitlines())
    whole = path.suffix == ".toml" or len(text) < 8000
    return f"--- {shown.as_posix()}: {lines} lines" + (f"\n{text}" if whole else "")


def _typed(words: list[str]) -> tuple[str, object]:
    """Return what a command prints, errors last, and its exit code."""
    out, err = io.StringIO(), io.StringIO()
    code: object = 0
    with (
        mock.patch.object(sys, "argv", ["asyncsim", *words]),
        mock.patch.dict(os.environ, COLUMNS="100"),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            runpy.run_module("asyncsim", run_name="__main__")
        except SystemExit as end:
            code = end.code
    usage = re.compile(r"usage: .*?\n(?=\S|\Z)", re.DOTALL)  # its sentences are those of the help
    shown = out.getvalue() if words else "(the help)\n"
    return shown + usage.sub("", err.getvalue()), code


# --- fits ---------------------------------------------------------------------------------------


def one_wait(system: sim.ExternalSystem, days: int, **more: Any) -> sim.Scenario:
    """Return a scenario of a step before a wait, and a step after it."""
    steps = [
        sim.Step("validate", sim.exponential("2s")),
        sim.AsyncStep("post", system="ledger", timeout=more.pop("timeout", None)),
        sim.Step("notify", sim.exponential("1s")),
    ]
    arrivals = more.pop("arrivals", DAYTIME)
    return sim.Scenario(
        name="known", process=sim.Process("p", steps), systems={"ledger": system},
        arrivals=arrivals, length=f"{days} days", **more,
    )  # fmt: skip


def played(scenario: sim.Scenario, strategy: sim.Strategy) -> sim.Run:
    """Return a run; waits may be open at its end."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", sim.CensoredWarning)
        return sim.simulate(scenario, strategy, seed=1)


def requests(system: sim.ExternalSystem, days: int = 7) -> pd.DataFrame:
    """Return the table of requests that an external system would have."""
    waits = played(one_wait(system, days), sim.Callback("50ms")).waits.sort_values("armed")
    columns = {"serial_number": "SN", "armed_at": "submitted", "completed_at": "completed"}
    return waits[list(columns)].rename(columns=columns)


def logs() -> Iterator[tuple[str, pd.DataFrame, dict[str, Any]]]:
    """Yield the name of a log, the log, and arguments of its fit."""
    batch = sim.NightlyBatch("22:00", sim.lognormal("4s", "2s"), results="at end")
    long = sim.exponential("10min")
    team = sim.People(3, "12min", between=("09:00", "17:00"))
    chain = sim.Chain([sim.OnlineService("30s"), sim.NightlyBatch("01:30", "2s")])
    weekly = sim.WeeklyPoisson([0] * 8 + [20, 12] + [4] * 8 + [0] * 6)
    yield "requests of a batch", requests(sim.NightlyBatch("22:00", sim.exponential("2s"))), {}
    yield "requests of a service", requests(sim.OnlineService(long, lanes=3)), {"system": "bank"}
    yield "requests of people", requests(team, 14), {"zone": "Europe/Berlin"}
    for name, system, strategy, more in (
        ("batch at its end, polled", batch, sim.Polling("15min"), {}),
        ("service, called back", sim.OnlineService(long, lanes=None), sim.Callback("1s"), {}),
        ("service that times out", sim.OnlineService(long), sim.Callback(), {"timeout": "15min"}),
        ("people, backoff", team, sim.Backoff("1min"), {"zone": "Europe/Berlin"}),
        ("chain, weekly arrivals", chain, sim.LongPolling("5min"), {"arrivals": weekly}),
        ("lost callbacks", batch, sim.Callback(loss=0.2), {}),
    ):
        days = 14 if system is team else 7
        yield name, played(one_wait(system, days, **more), strategy).event_log(), {"workers": 4}


def fits() -> str:
    """Return the accounts of fits, and the scenarios."""
    parts = []
    for name, log, more in logs():
        with warnings.catch_warnings(record=True) as noted:
            warnings.simplefilter("always")
            found = sim.fit(log, name=name, **more)
        parts += [f"=== {name}", *(f"{note.category.__name__}: {note.message}" for note in noted)]
        for title in ("account", "unexplained", "problems"):
            parts += [f"--- {title}", *_rows(getattr(found, title))]
        with tempfile.TemporaryDirectory() as folder:
            found.scenario.save(Path(folder) / "fitted.toml")
            parts += ["--- scenario", (Path(folder) / "fitted.toml").read_text(encoding="utf-8")]
    return plain("\n".join(parts))


def _rows(table: pd.DataFrame) -> list[str]:
    """Return a table with a row on a line, under the names of its columns."""
    return [" | ".join(map(str, row)) for row in (table.columns, *table.to_numpy(dtype=object))]


# --- answers and a report -----------------------------------------------------------------------


def answers() -> str:
    """Return the answers to a planner's questions, as printed and as tables."""
    data = of_data()
    ledger, mail, herd = (data[name] for name in ("nightly_ledger", "capstone", "herd_rate_limit"))
    both = [sim.Callback("50ms"), sim.Polling("15min")]
    few: dict[str, Any] = {"replications": 3, "seed": 1, "progress": False}
    grid = {"server.workers": [1, 2, 4], "server.poll_work": ["10ms", "1s"]}
    asked: dict[str, Callable[[], Any]] = {
        "compare": lambda: sim.compare(mail, both, **few),
        "sweep": lambda: sim.sweep(mail, grid, both, **few),
        "frontier": lambda: sim.frontier(mail, [*both, sim.LongPolling("10min")], **few),
        "break even": lambda: sim.break_even(
            ledger, sim.Polling("1min"), sim.Callback("20s"), "strategy.interval", ("1s", "1h"),
            **few,
        ),
        "herd drain": lambda: sim.herd_drain(herd, sim.Callback(retries=["1s", "2s", "4s"]), **few),
        "largest volume": lambda: sim.largest_volume(
            mail, sim.Callback(), "max_latency <= 10s", **few
        ),
        "longest interval": lambda: sim.longest_interval(ledger, "mean_latency <= 60s", **few),
        "cheapest interval": lambda: sim.cheapest_interval(mail, **few),
        "replications for": lambda: sim.replications_for(
            ledger, both, precision=0.1, seed=1, progress=False
        ),
        "steady state": lambda: sim.steady_state(
            ledger, sim.Polling("15min"), length="20 days", seed=1, progress=False
        ),
        "profiles": sim.profiles,
        "prices": sim.cost_presets,
    }  # fmt: skip
    parts = []
    for name, ask in asked.items():
        with warnings.catch_warnings(record=True) as noted:
            warnings.simplefilter("always")
            answer = ask()
        parts += [f"=== {name}", *(f"{note.category.__name__}: {note.message}" for note in noted)]
        if isinstance(answer, pd.DataFrame):
            parts += _rows(answer)
        else:
            parts += [str(answer), "--- table", *_rows(answer.table)]
    return plain("\n".join(parts))


def report() -> str:
    """Return a report's HTML without pictures, versions and dates, a tag on a line."""
    data = of_data()
    scenario, both = data["capstone"], [sim.Callback(loss=0.1), sim.Polling("15min")]
    studies = [
        sim.compare(scenario, both, replications=3, seed=1, progress=False),
        sim.fit(requests(sim.NightlyBatch("22:00", "2s")), name="a fit"),
    ]
    with tempfile.TemporaryDirectory() as folder:
        path = sim.report(studies, Path(folder) / "report.html", purpose="to be compared")
        page = path.read_text(encoding="utf-8")
    page = re.sub(r"<style>.*?</style>", "", page, flags=re.DOTALL)
    page = re.sub(r'(?<=base64,)[^"]*', "…", page)
    page = re.sub(r'<svg.*?</svg>|(?<=") width="\d+"', "", page)  # sizes and marks of pictures
    page = re.sub(r"asyncsim, \d{4}-\d\d-\d\d \d\d:\d\d [^<]*", "asyncsim, DATE", page)
    page = re.sub(r"Python \d+\.\d+\.\d+[^<]*", "Python VERSIONS", page)
    page = re.sub(r"(?:Linux|Darwin|Windows) \w+", "SYSTEM", page)
    return plain(page.replace("><", ">\n<"))


# --- REST ---------------------------------------------------------------------------------------

REQUESTS = (
    ("GET", "/serverEvents", None),
    ("GET", "/serverEvents/1_31", None),
    ("GET", "/serverEvents/99_31", None),
    ("GET", "/serverEvents/nonsense", None),
    ("GET", "/serverEvents?wrong=1", None),
    ("POST", "/serverEvents/1_31/finish", b'{"InvoiceNo": 42}'),
    ("POST", "/serverEvents/1_31/finish", b"{}"),
    ("POST", "/serverEvents/99_31/finish", b"{}"),
    ("POST", "/serverEvents/2_31/finish", b"[1]"),
    ("POST", "/serverEvents/2_31/finish", b"{not json"),
    ("GET", "/serverEvents/1_31", None),
    ("GET", "/workflows", None),
    ("GET", "/workflows/1/instances/1", None),
    ("GET", "/workflows/1/instances/77", None),
    ("POST", "/workflows/1", b"{}"),
    ("DELETE", "/serverEvents/1_31", None),
    ("GET", "/nothing", None),
)


def _answer(url: str, method: str, body: bytes | None, token: str) -> tuple[int, bytes]:
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    asked = urllib.request.Request(url, body, headers, method=method)
    try:
        with urllib.request.urlopen(asked, timeout=60) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def rest() -> tuple[dict[str, Any], str]:
    """Return the OpenAPI document, and a transcript of requests."""
    token = TOKEN.replace(" ", "-")
    session = sim.live(of_data()["workshop"], hold=True, seed=1)
    session.run_until("13h")
    endpoint = session.serve(token=token, thread=True)
    lines = []
    try:
        document = json.loads(_answer(f"{endpoint.url}/openapi.json", "GET", None, token)[1])
        root = f"{endpoint.url}/api/workflow/v1"
        for method, path, body in REQUESTS:
            code, text = _answer(root + path, method, body, token)
            lines += [f"{method} {path} {body.decode() if body else ''}", f"{code}"]
            lines += [json.dumps(json.loads(text), indent=1, sort_keys=True)] if text else []
        lines.append(f"without the token: {_answer(root + '/clock', 'GET', None, 'none')[0]}")
    finally:
        endpoint.stop()
        session.close()
    text = plain("\n".join(lines)).replace(endpoint.url, "http://HERE")
    return document, text


def structure_of(value: Any) -> Any:
    """Return an OpenAPI document without its sentences."""
    if isinstance(value, list):
        return [structure_of(part) for part in value]
    if not isinstance(value, dict):
        return value
    return {
        key: structure_of(part)
        for key, part in value.items()
        if not (key in WORDS_OF_OPENAPI and not isinstance(part, dict))
    }


def texts() -> dict[str, str]:
    """Return every text by its name."""
    found = {f"command_{name}": transcript(commands) for name, commands in COMMANDS.items()}
    found |= {"fits": fits(), "answers": answers(), "report": report()}
    document, found["rest"] = rest()
    for name, value in (("openapi", document), ("openapi_structure", structure_of(document))):
        found[name] = json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    return found
