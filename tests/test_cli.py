"""The command line: commands, options, messages, and exit status."""

import ast
import io
import json
import os
import re
import shlex
import subprocess
import sys
import unicodedata
from pathlib import Path

import attrs
import pandas as pd
import pytest

import asyncsim as sim
from asyncsim.cli import commands as studies
from asyncsim.cli.main import _parser, main
from asyncsim.cli.new_file import SYSTEMS, new_scenario
from asyncsim.cli.strategy_parser import parse_strategy
from asyncsim.engine.metrics import METRICS
from asyncsim.model.arrivals import Poisson
from asyncsim.model.examples import LOG, SCENARIO, example_files, readable_file
from asyncsim.model.profiles import PROFILES
from asyncsim.model.scenario import Scenario
from asyncsim.model.schema import json_schema
from asyncsim.model.server import CostModel, WorkflowServer
from asyncsim.verification.experiments import all_experiments


@pytest.fixture
def scenario_file(tmp_path):
    scenario = sim.Scenario(
        name="small",
        process=sim.Process("p", [sim.AsyncStep("post", system="ledger")]),
        systems={"ledger": sim.NightlyBatch("22:00", "150ms")},
        arrivals=sim.UniformArrivals(20, between=("08:00", "20:00")),
    )
    path = tmp_path / "small.toml"
    scenario.save(path)
    return path


@pytest.mark.parametrize(
    ("words", "strategy"),
    [
        ("callback", sim.Callback()),
        ("callback delay=50ms loss=0.02", sim.Callback("50ms", loss=0.02)),
        ("callback 50ms retries=5s,5min", sim.Callback("50ms", retries=["5s", "5min"])),
        ("polling 15min", sim.Polling("15min")),
        ("polling interval=15min anchor=clock", sim.Polling("15min", "clock")),
        ("polling 90s limit=3", sim.Polling(90, limit=3)),
        ("callback delay=0", sim.Callback(0)),
        ("polling '90s' limit=None", sim.Polling(90)),
        ("backoff 1s factor=2 cap=10min", sim.Backoff("1s", 2, "10min")),
        ("long polling 30s", sim.LongPolling("30s")),
        ("polling 15 min", sim.Polling("15min")),
        ("polling 15 min anchor = clock", sim.Polling("15min", "clock")),
        ("callback retries = 5s, 5 min", sim.Callback(retries=["5s", "5min"])),
        ("callback with safety poll 5min", sim.CallbackWithSafetyPoll(every="5min")),
        (
            "callback with safety poll every=5min",
            sim.CallbackWithSafetyPoll(every="5min"),
        ),
        ("polling after 8h, 10min loop=1.5s", sim.PollingAfter(["8h", "10min"], loop="1.5s")),
        ("server directed 20s error=0.3", sim.ServerDirected("20s", error=0.3)),
        ("shared poll 5min most=100", sim.SharedPoll("5min", most=100)),
        ("polling at 22:15,23:00 days=Mon-Fri", sim.PollingAt(["22:15", "23:00"], days="Mon-Fri")),
        ("polling 15min window=22:00,23:30", sim.Polling("15min", window=("22:00", "23:30"))),
    ],
)
def test_a_strategy_is_parsed_from_words(words, strategy):
    """The words make the same object as Python would."""
    assert parse_strategy(words) == strategy


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("pollng 15min", "did you mean 'polling 15min'"),
        ("", "strategy must begin with one of 'callback'"),
        ("polling 15min ancor=clock", "no argument 'ancor' .*; did you mean 'anchor'"),
        ("polling 15min clock", "no argument 'clock'"),
        ("polling -5min", "Polling.interval must be positive, got '-5min'"),
        ("polling", "lacks 'interval', such as 'polling 15min'"),
        ("polling anchor = clock", "lacks 'interval', such as 'polling 15min anchor=clock'"),
        ("polling 15min interval=5min", "has 'interval' twice"),
        ("polling " + "1" * 6000, "strategy must have 1,000 characters at most, got 'polling 1"),
        ("callback delay=" + "[" * 300, "Callback.delay must be a duration"),
        ("callback delay=" + "-" * 900 + "1", "Callback.delay must be a duration"),
        ("polling 1s limit=" + "9" * 900, "Polling.limit must be 1,000,000,000 at most"),
        ("polling nan", "Polling.interval must be a duration"),
    ],
)
def test_a_wrong_word_is_named(words, message):
    """The message names the word and the nearest valid one."""
    with pytest.raises(sim.ScenarioError, match=message):
        parse_strategy(words)


def test_compare_prints_the_table_and_saves_picture_and_csv(scenario_file, tmp_path, capsys):
    """Exit status 0; the files hold what was printed."""
    picture, table = tmp_path / "new folder" / "c.png", tmp_path / "c.csv"
    words = ["compare", str(scenario_file), "--replications", "2"]
    words += ["--strategy", "callback", "--strategy", "polling 15min"]
    assert main([*words, "--save", str(picture), "--csv", str(table)]) == 0
    out = capsys.readouterr().out
    assert "polling 15 min" in out
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert set(pd.read_csv(table)["strategy"]) == {"callback", "polling 15 min"}


def test_compare_reads_a_log_and_reports_its_bad_rows(scenario_file, tmp_path, capsys):
    """Arrivals come from the log; an unusable row is named by its line."""
    log = tmp_path / "log.csv"
    log.write_text(
        "SN,submitted,completed\n"
        "1_31,2026-03-02 10:00:00,2026-03-02 22:00:05\n"
        "2_31,2026-03-02 11:00:00,\n"
        "3_31,2026-03-02 12:00:00,2026-03-02 22:00:06\n"
    )
    words = ["compare", str(scenario_file), "--log", str(log), "--strategy", "polling 1h"]
    assert main(words) == 0
    shown = capsys.readouterr()
    assert "1 of 3 rows are not used: line 3: not completed" in shown.err
    # Armed on the hour, completed 5 s and 6 s after it: both wait for the next check
    assert re.search(r"mean latency +59\.9 min", shown.out)  # 3,594 s and 3,595 s


def test_run_writes_the_tables(scenario_file, tmp_path, capsys):
    """Every table of the run is a CSV file."""
    assert main(["run", str(scenario_file), "--out", str(tmp_path / "out")]) == 0
    assert len(pd.read_csv(tmp_path / "out" / "waits.csv")) == 20
    assert (tmp_path / "out" / "event_log.csv").exists()
    assert "mean latency" in capsys.readouterr().out


def test_run_shows_a_missing_metric_as_a_dash(scenario_file, capsys):
    """A callback makes no checks, so the wasted share is missing."""
    assert main(["run", str(scenario_file), "--strategy", "callback"]) == 0
    assert re.search(r"^wasted share +–$", capsys.readouterr().out, flags=re.MULTILINE)


@pytest.mark.parametrize("name", ["log.csv", "log.xes.gz", "log.json"])
def test_run_writes_an_event_log_for_process_mining(name, scenario_file, tmp_path, capsys):
    """In the format of its extension; the folder is created."""
    path = tmp_path / "logs" / name
    assert main(["run", str(scenario_file), "--event-log", str(path)]) == 0
    assert path.stat().st_size > 0
    assert f"event log: {path}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["compare", "nowhere.toml"], "nowhere.toml: cannot be read"),
        (["compare", "FILE", "--replications", "0"], "must be a whole number, 1 or more, got 0"),
        (["compare", "FILE", "--strategy", "pollin 1min"], "did you mean 'polling 1min'"),
        (["compare", "FILE", "--log", "nowhere.csv"], "nowhere.csv: cannot be read"),
        (["fit", "nowhere.csv", "--out", "x.json"], "--out must end in .toml, got 'x.json'"),
        (["run", "FILE", "--log", "FILE"], "lacks the column 'SN'"),
        (["run", "FILE", "--step", "post"], "--step needs --log"),
        (["compare", "FILE", "--metric", "max_latency"], "--metric needs --precision or --within"),
        (["compare", "FILE", "--jobs", "0"], "--jobs must be a whole number"),
        (["compare", "FILE", "--strategy", "callback loss=2%"], "got '2%'; write 0.02"),
        (["capacity", "FILE", "--target", "latency <= 60"], "did you mean 'mean_latency'?"),
        (["serve", "FILE", "--hold", "clerk"], "('ledger'), or be True for all of them ('all' on"),
        (["run", "LOG"], "is not valid TOML"),
        (["run", "LOG"], "asyncsim fit"),
    ],
)
def test_wrong_input_is_one_sentence_and_exit_status_2(words, message, scenario_file, capsys):
    """Without a traceback: the sentence says what is wrong and what would be right."""
    log = scenario_file.with_suffix(".csv")
    log.write_text("SN,submitted,completed\n")
    places = {"FILE": str(scenario_file), "LOG": str(log)}
    words = [places.get(word, word) for word in words]
    assert main(words) == 2
    err = capsys.readouterr().err
    assert message in err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("course", "there is no command 'course'; did you mean 'examples' (write the notebooks"),
        ("simulate FILE", "did you mean 'run' (simulate one strategy"),
        ("capcity FILE", "did you mean 'capacity'?"),
        ("mine.toml", "did you mean 'compare mine.toml'?"),
        ("zzz FILE", "it must be one of compare, run, explain,"),
        ("compare FILE --replicatons 4", "compare has no option --replicatons; did you mean '--re"),
        ("run FILE --report x", "run has no option --report; compare, explain, capacity"),
        ("compare FILE --workers 4", "workers is a key of the scenario file, and sweep --vary"),
        ("compare FILE --xyz no", "no option --xyz (it has --profile, --log, "),
        ("explain FILE --seed 1", "explain has no option --seed; compare, run, "),
        ("help", "did you mean '--help'?"),
        ("sweep FILE --vary server.workers 2,4", "2,4; write a field and its values in one word"),
        ("compare FILE more.toml", "unrecognized arguments: more.toml\n"),
    ],
)
def test_a_command_or_option_that_does_not_exist_gets_a_hint(words, message, capsys):
    """The nearest word, what has it, or all there are; quotes only for strategies."""
    with pytest.raises(SystemExit) as left:
        main(words.split())
    assert left.value.code == 2
    assert message in capsys.readouterr().err


def test_a_share_may_be_given_in_per_cent():
    """As a number and in per cent it is the same precision."""
    found = [_parser().parse_args(["compare", "FILE", "--precision", s]) for s in ("0.05", "5%")]
    assert [one.precision for one in found] == [0.05, 0.05]


def test_a_number_without_a_unit_is_refused(scenario_file, capsys):
    """In a strategy and in a sweep: 5 may mean seconds or minutes."""
    vary = ["--vary", "server.poll_work=20"]
    assert main(["sweep", str(scenario_file), *vary, "--strategy", "callback"]) == 2
    assert "did you mean '20ms', '20s' or '20min'?" in capsys.readouterr().err
    assert main(["run", str(scenario_file), "--strategy", "polling 5"]) == 2
    assert "did you mean '5ms', '5s' or '5min'?" in capsys.readouterr().err


def test_a_strategy_without_quotes_is_reported(scenario_file, capsys):
    """A shell splits it into words."""
    with pytest.raises(SystemExit) as left:
        main(["run", str(scenario_file), "--strategy", "polling", "15min"])
    assert left.value.code == 2
    assert "unrecognized arguments: 15min; put quotes around" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["run", "FILE", "--out", "FILE"], "is a file; it must be a folder for tables"),
        (["run", "FILE", "--event-log", "x.foo"], "--event-log must end in one of .csv"),
        (["run", "FILE", "--event-log", "FOLDER.csv"], "it must be a file to write"),
        (["compare", "FILE", "--save", "x.foo"], "--save must end in one of"),
        (["compare", "FILE", "--save", "x.pgf"], "--save must end in one of"),
        (["compare", "FILE", "--save", "FOLDER.png"], "it must be a file to write"),
        (["compare", "FILE", "--csv", "FOLDER.csv"], "it must be a file to write"),
        (
            ["compare", "FILE", "--csv", "FILE/x.csv"],
            "--csv must be a file that can be written (File exists), got",
        ),
        (["compare", "FILE", "--report", "x.pdf"], "--report must end in .html, got 'x.pdf'"),
        (["compare", "FILE", "--report", "FOLDER.html"], "it must be a file to write"),
        (["capacity", "FILE", "--target", "cost <= 1", "--report", "x.pdf"], "must end in .html"),
        (["fit", "nowhere.csv", "--out", "FOLDER.toml"], "it must be a file to write"),
        (["fit", "nowhere.csv", "--plot", "x.foo"], "--plot must end in one of"),
        (["fit", "nowhere.csv", "--report", "x.pdf"], "--report must end in .html, got 'x.pdf'"),
        (["compare", "FILE", "--title", "a study"], "--title needs --report"),
        (["capacity", "FILE", "--target", "cost <= 1", "--purpose", "x"], "--purpose needs"),
        (["fit", "nowhere.csv", "--sources", "a log"], "--sources needs --report"),
    ],
)
def test_an_unwritable_output_is_reported_before_the_work(
    words, message, scenario_file, capsys, monkeypatch
):
    """It takes no time, and leaves no other file or folder."""
    for work in ("simulate", "compare", "fit", "sweep"):
        monkeypatch.setattr(studies, work, None)
    monkeypatch.setattr(studies, "QUESTIONS", dict.fromkeys(studies.QUESTIONS))
    for ending in ("csv", "png", "html", "toml"):
        (scenario_file.parent / f"FOLDER.{ending}").mkdir()
    monkeypatch.chdir(scenario_file.parent)
    scenario_file.rename("FILE")
    there = set(Path().iterdir())
    assert main(words) == 2
    assert message in capsys.readouterr().err
    assert set(Path().iterdir()) == there


def test_a_missing_extra_for_event_logs_is_reported_before_the_run(
    scenario_file, capsys, monkeypatch
):
    """Parquet needs pyarrow."""
    monkeypatch.setattr(studies, "simulate", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert main(["run", str(scenario_file), "--event-log", "x.parquet"]) == 2
    assert "writing Parquet needs pyarrow" in capsys.readouterr().err


REQUIRED = {
    "capacity": ["--target", "cost <= 1"],
    "sweep": ["--vary", "server.workers=1,2"],
}
OUTPUTS = [
    ("compare", "--csv", ".csv"),
    ("compare", "--save", ".png"),
    ("compare", "--save", ".pdf"),
    ("compare", "--report", ".html"),
    ("run", "--event-log", ".xes"),
    ("run", "--out", ""),
    ("capacity", "--report", ".html"),
    ("sweep", "--csv", ".csv"),
    ("sweep", "--save", ".png"),
    ("fit", "--out", ".toml"),
    ("fit", "--plot", ".png"),
    ("fit", "--report", ".html"),
]


@pytest.mark.parametrize(("command", "option", "ending"), OUTPUTS)
@pytest.mark.parametrize(
    "path",
    ["a\0b", "a\ud800", "x" * 300, "FILE/x", "/proc/x"],
    ids=["null", "half", "long", "in", "no"],
)
def test_an_impossible_path_is_rejected_before_the_work(
    command, option, ending, path, scenario_file, tmp_path, capsys, monkeypatch
):
    """The message names the option."""
    for work in ("simulate", "compare", "fit", "sweep"):
        monkeypatch.setattr(studies, work, None)
    monkeypatch.setattr(studies, "QUESTIONS", dict.fromkeys(studies.QUESTIONS))
    monkeypatch.chdir(tmp_path)
    Path("FILE").write_text("")
    there = set(Path().iterdir())
    words = [command, scenario_file.name, option, path + ending]
    assert main([*words, *REQUIRED.get(command, [])]) == 2
    assert f"asyncsim: {option} must be " in capsys.readouterr().err
    assert set(Path().iterdir()) == there


@pytest.mark.slow
@pytest.mark.parametrize(("command", "option", "ending"), [*OUTPUTS[:5], *OUTPUTS[7:]])
def test_a_full_disk_is_reported(command, option, ending, scenario_file, tmp_path, capsys):
    """Without a traceback."""
    full = tmp_path / f"full{ending}"
    full.symlink_to("/dev/full")
    source = "data/request_log.csv" if command == "fit" else str(scenario_file)
    more = ["--replications", "2"] if command in ("compare", "sweep") else []
    more += REQUIRED.get(command, [])
    assert main([command, source, *more, option, str(full)]) == 2
    assert "(No space left on device)" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "encoding"),
    [(["compare", "FILE", "--replications", "2", "--save", b"a\xff.png"], "utf-8"),
     (["compare", b"a\xff"], "utf-8"), ([b"\xff"], "utf-8"),
     (["compare", "FILE", "--replications", "2"], "ascii")],
)  # fmt: skip
def test_characters_that_an_output_lacks_are_escaped(words, encoding, scenario_file, tmp_path):
    """Invalid bytes of a file name, and characters that a terminal lacks."""
    given = [str(scenario_file) if word == "FILE" else word for word in words]
    shown = subprocess.run(
        [sys.executable, "-m", "asyncsim", *given],
        cwd=tmp_path, capture_output=True, env={**os.environ, "PYTHONIOENCODING": encoding},
    )  # fmt: skip
    assert shown.returncode == (0 if "FILE" in words else 2)
    assert b"Traceback" not in shown.stderr
    assert (b" +/- " in shown.stdout) == (encoding == "ascii")
    if b"a\xff.png" in words:
        assert rb"picture: a\udcff.png" in shown.stdout
        assert (tmp_path / os.fsdecode(b"a\xff.png")).exists()


@pytest.mark.parametrize("words", [["--help"], ["compare", "FILE", "--replications", "2"]])
@pytest.mark.slow
def test_a_closed_or_full_output_has_no_traceback(words, scenario_file):
    """A pipe whose reader has ended, as with `head`, and a full disk."""
    command = [sys.executable, "-m", "asyncsim", *words]
    command = [str(scenario_file) if word == "FILE" else word for word in command]
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "wb") as gone, open("/dev/full", "wb") as full:
        for output, message in ((gone, b""), (full, b"asyncsim: standard output: No space left")):
            shown = subprocess.run(command, stdout=output, stderr=subprocess.PIPE)
            assert shown.returncode in (0, 2)
            assert message in shown.stderr
            assert b"Traceback" not in shown.stderr
            assert b"Exception ignored" not in shown.stderr


@pytest.mark.parametrize(
    ("problem", "status", "message"),
    [
        (KeyboardInterrupt, 130, "asyncsim: interrupted\n"),
        (MemoryError, 2, "not enough memory"),
    ],
)
def test_an_interrupted_command_reports_it(problem, status, message, capsys, monkeypatch):
    """In one line."""

    def raises(*_, **__):
        raise problem

    monkeypatch.setattr(studies, "verify", raises)
    assert main(["verify", "--quick"]) == status
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(("theory", "status", "passed"), [(1.0, 0, "1 of 1"), (2.0, 1, "0 of 1")])
def test_verify_explains_its_verdicts_and_fails_if_one_is_not_ok(
    theory, status, passed, capsys, monkeypatch
):
    """Whatever the exit status, the table has the engine, and the meaning stands below it."""
    cut_off = next(one for one in all_experiments() if one.exact and one.engine == "simpy")
    wrong = attrs.evolve(cut_off, theory={"wasted_share": 0.5 * theory})
    monkeypatch.setattr("asyncsim.verification.verify.all_experiments", lambda quick: [wrong])
    assert main(["verify", "--quick"]) == status
    shown = capsys.readouterr().out
    assert f"simpy: {passed} metrics are equivalent to theory" in shown
    assert "ok: the whole 90 % interval" in shown
    assert ("! wrong: herd of 1001 checks" in shown) == bool(status)


def test_an_invalid_output_creates_no_folder_for_another(scenario_file, tmp_path):
    """A rejected command leaves nothing behind."""
    words = ["compare", str(scenario_file), "--csv", str(tmp_path / "new" / "c.csv")]
    assert main([*words, "--report", "x.pdf"]) == 2
    assert not (tmp_path / "new").exists()


def test_python_m_asyncsim_is_the_command():
    """`python -m asyncsim --help` lists the commands."""
    shown = subprocess.run(
        [sys.executable, "-m", "asyncsim", "--help"], capture_output=True, text=True, check=True
    )
    for command in ("compare", "run", "verify"):
        assert command in shown.stdout


def test_a_target_of_any_metric_and_a_warm_up_can_be_given(scenario_file, capsys):
    """A half-width is a duration or a number, depending on the metric; errors name the argument."""
    common = ["compare", str(scenario_file), "--strategy", "polling 15min"]
    assert main([*common, "--within", "2min", "--metric", "p95_latency"]) == 0
    assert main([*common, "--within", "0.5", "--metric", "longest_queue"]) == 0
    assert main([*common, "--warm-up", "10h", "--replications", "2"]) == 0
    assert "without a warm-up of 10 h each" in capsys.readouterr().out
    assert main([*common, "--within", "soon"]) != 0
    assert "within must be a duration" in capsys.readouterr().err


def test_fit_prints_its_findings_and_writes_a_scenario(tmp_path, capsys):
    """A damaged log becomes a loadable scenario and a picture; damage is reported as a note."""
    log = Path(__file__).parent.parent / "data" / "request_log.csv"
    out, picture = tmp_path / "new" / "fitted.toml", tmp_path / "fit.png"
    words = ["fit", str(log), "--out", str(out), "--plot", str(picture), "--zone", "Europe/Berlin"]
    assert main([*words, "--system", "ledger", "--workers", "2"]) == 0
    shown = capsys.readouterr()
    assert "What is not explained" in shown.out
    assert "completed before it was submitted: 2" in shown.err
    scenario = Scenario.load(out)
    assert (scenario.zone, scenario.server.workers) == ("Europe/Berlin", 2)
    assert scenario.systems["ledger"].start == "22:00"
    assert picture.read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_fit_compares_the_scenario_with_its_log(tmp_path, capsys):
    """Metrics outside their interval are printed; the report has the findings and the check."""
    log = Path(__file__).parent.parent / "data" / "request_log.csv"
    page = tmp_path / "new" / "fit.html"
    assert main(["fit", str(log), "--check", "polling 1h", "--report", str(page)]) == 0
    shown = capsys.readouterr().out
    assert "metrics of the log lie within the 95 % intervals of 20 replications" in shown
    assert "to its first completion" in shown  # the batch needs 15 s to begin
    written = page.read_text(encoding="utf-8")
    assert "what does it not explain?" in written
    assert "does the fitted scenario explain its log?" in written


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--system", "a=b", "--system", "c"], "--system: give one name, or step=system"),
        (["--out", "."], "--out . is a folder"),
        (["--check", "pollin 1h"], "did you mean 'polling 1h'"),
    ],
)
def test_fit_rejects_before_the_work(words, message, capsys):
    """The message names the option."""
    assert main(["fit", "data/request_log.csv", *words]) != 0
    assert message in capsys.readouterr().err


def test_capacity_answers_with_workers_and_volume(scenario_file, tmp_path, capsys):
    """Both questions for one target, in words, and as a report."""
    out = tmp_path / "new" / "capacity.html"
    words = ["capacity", str(scenario_file), "--target", "longest_queue <= 40"]
    said = ["--title", "How many?", "--purpose", "to plan <b>", "--sources", "a guess"]
    assert main([*words, "--replications", "2", "--report", str(out), *said]) == 0
    shown = capsys.readouterr().out
    workers, volume = (line for line in shown.splitlines() if ": the longest queue is" in line)
    assert workers.startswith("1 worker (95 % interval: 1 alone): the longest queue is")
    assert volume.startswith("Up to ")
    assert "fewest workers with which the longest queue is at most 40 jobs" in shown
    page = out.read_text(encoding="utf-8")
    assert "<h1>How many?</h1>" in page
    assert "to plan &lt;b&gt;" in page
    assert "a guess" in page
    assert main(["capacity", str(scenario_file), "--target", "p95"]) == 2
    assert "target must be words such as" in capsys.readouterr().err


def test_one_report_compares_and_has_the_number_of_workers(scenario_file, tmp_path, capsys):
    """A manager gets one page; a mistake in the target is reported before the work."""
    page = tmp_path / "both.html"
    words = ["compare", str(scenario_file), "--replications", "2", "--strategy", "callback"]
    words += ["--strategy", "polling 1h"]
    assert main([*words, "--target", "longest_queue <= 40", "--report", str(page)]) == 0
    shown = capsys.readouterr().out
    assert shown.count("1 worker (95 % interval: 1 alone)") == 2
    text = page.read_text(encoding="utf-8")
    assert text.count("1. Comparison") == 1
    assert text.count(". Fewest workers with which") == 2
    assert main([*words, "--target", "longest_quue <= 40"]) == 2
    failed = capsys.readouterr()
    assert "did you mean" in failed.err
    assert failed.out == ""


def test_the_gaps_of_a_report_can_be_filled(scenario_file, tmp_path):
    """Each argument of `asyncsim.report` that only an author knows is an option."""
    page = tmp_path / "explained.html"
    options = ["author", "purpose", "sources", "preprocessing", "assumptions", "sharing"]
    said = [word for name in options for word in (f"--{name}", f"the {name} <here>")]
    assert main(["explain", str(scenario_file), "--report", str(page), *said]) == 0
    text = page.read_text(encoding="utf-8")
    for name in options:
        assert f"the {name} &lt;here&gt;" in text
    assert "to be answered by the authors" not in text


def test_an_overload_is_reported_by_each_command(tmp_path, capsys):
    """600 claims a day, of which a clerk can do a third: in text and in notes of JSON."""
    path = tmp_path / "office.toml"
    sim.Scenario(
        name="office",
        process=sim.Process("p", [sim.AsyncStep("decide", system="clerk")]),
        systems={"clerk": sim.People(1, "144s", between=("08:00", "16:00"), days="every day")},
        arrivals=sim.Poisson("600/day"),
    ).save(path)
    for words in (
        ["run", str(path)],
        ["compare", str(path), "--replications", "2"],
        ["sweep", str(path), "--replications", "2", "--vary", "systems.clerk.team=1,2"],
    ):
        assert main(words) == 0
        shown = capsys.readouterr().out
        assert "'clerk' is overloaded: a week of arrivals asks for" in shown.splitlines()[0]
        assert main([*words, "--json"]) == 0
        found = json.loads(capsys.readouterr().out)
        assert "'clerk' is overloaded" in found["findings"][0]
        assert any("longer run" in note for note in found["notes"])


def test_capacity_prints_each_answer_when_it_is_found(scenario_file, capsys, monkeypatch):
    """The second question takes longer than the first; each can be asked alone."""
    printed = []

    def asked(*args, **kwargs):
        printed.append(capsys.readouterr().out)
        return "the volume"

    monkeypatch.setitem(studies.QUESTIONS, "volume", asked)
    words = ["capacity", str(scenario_file), "--target", "longest_queue <= 40"]
    assert main([*words, "--replications", "2"]) == 0
    assert printed[0].startswith("1 worker (")
    assert main([*words, "--question", "volume"]) == 0
    assert printed[1] == "the volume\n"
    assert capsys.readouterr().out == "the volume\n"


def test_the_version_is_printed(capsys):
    """It is the version in Python."""
    with pytest.raises(SystemExit) as left:
        main(["--version"])
    assert left.value.code == 0
    assert capsys.readouterr().out == f"asyncsim {sim.__version__}\n"


def test_the_examples_of_the_help_are_valid(capsys):
    """Every command of the examples exists, and so do their files."""
    with pytest.raises(SystemExit):
        main(["--help"])
    shown = capsys.readouterr().out
    examples = re.findall(r"^  asyncsim (.*)$", shown, flags=re.MULTILINE)
    assert len(examples) >= 5
    for line in examples:
        command, file = line.split()[:2]
        assert readable_file(file, LOG if command == "fit" else SCENARIO).exists()
        with pytest.raises(SystemExit) as left:
            main([command, "--help"])
        assert left.value.code == 0
    capsys.readouterr()
    assert main([]) == 2
    assert capsys.readouterr().out == shown


@pytest.mark.parametrize(
    "command",
    [
        "compare",
        "run",
        "explain",
        "capacity",
        "sweep",
        "serve",
        "fit",
        "verify",
        "examples",
        "new",
        "schema",
    ],
)
def test_the_help_of_a_command_has_an_example_and_defaults(command, monkeypatch):
    """A summary, one valid example, and the default of every option."""
    monkeypatch.setenv("COLUMNS", "500")
    options = _parser()._subparsers._group_actions[0].choices[command]
    text = " ".join(options.format_help().split())
    assert options.description.endswith(".")
    (example,) = re.findall(r"^  asyncsim (.*)$", options.epilog, flags=re.MULTILINE)
    assert _parser().parse_args(shlex.split(example))
    for option in options._actions:
        assert option.help, option.dest
        if option.option_strings and option.default not in (None, False, [], "==SUPPRESS=="):
            assert "default" in option.help, option.dest
    if command in ("compare", "capacity"):
        assert all(name in text for name in METRICS)
    if command not in ("fit", "verify", "examples", "new", "schema"):
        assert all(repr(name) in text for name in PROFILES)


@pytest.fixture
def ascii_terminal(monkeypatch):
    """Run words on a terminal that is limited to ASCII; return status and output."""

    def run(*words):
        output = io.BytesIO()
        with monkeypatch.context() as patch:
            for name in ("stdout", "stderr"):
                stream = io.TextIOWrapper(output, encoding="ascii", write_through=True)
                patch.setattr(sys, name, stream)
            try:
                status = main([str(word) for word in words])
            except SystemExit as stop:
                status = stop.code
            found = output.getvalue().decode("ascii")
            for name in ("stdout", "stderr"):
                getattr(sys, name).detach()
        return status, found

    return run


def test_every_command_can_be_limited_to_ascii(scenario_file, tmp_path, ascii_terminal):
    """Substitutes replace characters that a terminal lacks, in results, helps, notes and errors."""
    log = Path(__file__).parent.parent / "data" / "request_log.csv"
    lossy = "callback loss=0.5"
    played = [
        ("compare", scenario_file, "--replications", "2", "--strategy", lossy),
        ("run", scenario_file, "--strategy", lossy),
        ("explain", scenario_file, "--strategy", lossy),
        ("capacity", scenario_file, "--target", "p95_latency <= 1h", "--replications", "2"),
        ("sweep", scenario_file, "--vary", "server.workers=1,2", "--strategy", lossy),
        ("run", scenario_file, "--strategy", lossy, "--json"),
        ("fit", log),
    ]
    commands = ("compare", "run", "capacity", "sweep", "serve", "fit", "verify")
    helps = [(command, "--help") for command in commands] + [("--help",)]
    wrong = [("compare", scenario_file, "--strategy", "pollng – 5min … ± →")]
    nothing = tmp_path / "Größe × 2.toml"
    wrong += [("compare", nothing), ("compare", scenario_file, "–", "…")]
    for words, status in [*((w, 0) for w in played + helps), *((w, 2) for w in wrong)]:
        got, shown = ascii_terminal(*words)
        assert got == status, shown
        assert "\\x" not in shown, shown
        assert "\\u" not in shown, shown
    assert " +/- " in ascii_terminal(*played[0])[1]
    assert "pollng - 5min ... +/- ->" in ascii_terminal(*wrong[0])[1]
    assert "Grosse x 2.toml" in ascii_terminal("compare", nothing)[1]


def test_all_characters_of_the_package_have_a_substitute(ascii_terminal):
    """In all of its texts except docstrings and exercises."""
    assert ascii_terminal("--version")[0] == 0
    holders = (ast.Module, ast.ClassDef, ast.FunctionDef)
    root = Path(sim.__file__).parent
    for path in (path for path in root.rglob("*.py") if root / "exercises" not in path.parents):
        nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
        docs = {ast.get_docstring(node, clean=False) for node in nodes if isinstance(node, holders)}
        texts = {node.value for node in nodes if isinstance(node, ast.Constant)} - docs
        written = "".join(text for text in texts if isinstance(text, str))
        for sign in (c for c in written if unicodedata.category(c)[:1] in "LP" or c in "±√≤≥²×→−"):
            assert not re.match(rb"\\[xu]", sign.encode("ascii", "look-alike")), (path.name, sign)


def test_unresumed_waits_are_in_the_output_itself(scenario_file, capsys):
    """The share and the sentence are on stdout, and not repeated on stderr."""
    lossy = ["--strategy", "callback loss=0.5"]
    assert main(["compare", str(scenario_file), *lossy, "--replications", "2"]) == 0
    compared, errors = capsys.readouterr()
    assert "waits" not in errors
    assert main(["run", str(scenario_file), *lossy]) == 0
    played, errors = capsys.readouterr()
    assert errors == ""
    for shown in (compared, played):
        assert "they have no latency and are in no average" in shown
    assert re.search(r"^unresumed share +\d+ ± \d+ %$", compared, flags=re.MULTILINE)
    assert re.search(r"^mean latency of resumed waits +[\d.]+ m?s$", played, flags=re.MULTILINE)
    done = r"^mean cycle time of instances that are done +[\d.]+ (s|min|h|d)$"
    assert re.search(done, played, flags=re.MULTILINE)


def test_explain_reports_loads_and_reasons(scenario_file, capsys):
    """Its first line is a sentence about the bottleneck."""
    assert main(["explain", str(scenario_file), "--strategy", "polling 10min"]) == 0
    shown = capsys.readouterr().out
    assert "the largest load" in shown.splitlines()[1]
    assert "offered load" in shown


@pytest.mark.parametrize("kind", SYSTEMS)
def test_a_new_file_is_a_valid_scenario_with_every_key(kind, tmp_path, capsys):
    """Each key of its tables stands in it, with its meaning; nothing is overwritten."""
    path = tmp_path / "mine.toml"
    assert main(["new", str(path), "--kind", kind]) == 0
    assert Scenario.load(path) == new_scenario(kind)
    text = path.read_text(encoding="utf-8")
    for cls in (WorkflowServer, Poisson, *map(type, new_scenario(kind).systems.values())):
        for field in attrs.fields(cls):
            if field.alias not in ("policy", "systems"):
                assert re.search(rf"^(# )?{field.alias} =", text, flags=re.MULTILINE), field.alias
    assert max(map(len, text.splitlines())) <= 100
    assert main(["new", str(path), "--kind", kind]) == 2
    assert "--force" in capsys.readouterr().err
    assert main(["new", str(path), "--kind", kind, "--force"]) == 0


@pytest.mark.parametrize("kind", SYSTEMS)
def test_what_stands_behind_a_hash_in_a_new_file_may_be_uncommented(kind, tmp_path):
    """A default is what holds without it; an example is valid, and sets what had no value."""
    path = tmp_path / "mine.toml"
    assert main(["new", str(path), "--kind", kind]) == 0
    text, plain = path.read_text(encoding="utf-8"), new_scenario(kind)
    head, costs = text.split("# [costs]")
    lines = [line for line in head.splitlines() if re.match(r"# \w+ =", line)]
    assert len(lines) > 10
    for k, line in enumerate(lines):
        parts = head.split(f"\n{line}\n")  # the same line may stand in several tables
        at = lines[:k].count(line) + 1
        before, after = f"\n{line}\n".join(parts[:at]), f"\n{line}\n".join(parts[at:])
        path.write_text(f"{before}\n{line[2:]}\n{after}", encoding="utf-8")
        assert (Scenario.load(path) == plain) == ("# an example" not in line), line
    prices = re.sub(r"(?m)^# (\w+ = .)", r"\1", costs)
    path.write_text(f"{head}[costs]{prices}", encoding="utf-8")
    assert Scenario.load(path) == plain.replace(costs=CostModel())


@pytest.mark.parametrize("kind", SYSTEMS)
def test_a_new_file_can_be_played_and_nothing_is_overloaded(kind):
    """Each load is below 1, by theory, and in a run every instance ends."""
    scenario = new_scenario(kind)
    loads = sim.explain(scenario, sim.Callback()).table.query("what == 'load'")
    assert set(loads["part"]) >= set(scenario.systems)
    assert loads["value"].between(0.0, 1.0, inclusive="left").all()
    run = sim.simulate(scenario, sim.Callback(), seed=1)
    assert (run.instances["outcome"] == "done").all()


def test_the_schema_is_printed_or_written(tmp_path, capsys):
    """As `json_schema` makes it."""
    assert main(["schema"]) == 0
    assert json.loads(capsys.readouterr().out) == json_schema()
    assert main(["schema", "--out", str(tmp_path / "one.json")]) == 0
    assert json.loads((tmp_path / "one.json").read_text(encoding="utf-8")) == json_schema()


def test_examples_are_written_ready_to_run(tmp_path, capsys):
    """Notebooks and their data in ../data; file modes as in the repository."""
    folder = tmp_path / "my course"
    assert main(["examples", str(folder)]) == 0
    written = {path.relative_to(folder) for path in folder.rglob("*") if path.is_file()}
    assert written == set(example_files())
    assert sim.Scenario.load(folder / "notebooks" / ".." / "data" / "person.toml")
    assert os.access(folder / "data" / "nightly_batch.sh", os.X_OK) == (os.name == "posix")
    opened = shlex.split(capsys.readouterr().out.splitlines()[-1])
    assert opened[:2] == ["jupyter", "lab"]
    assert Path(opened[2]).is_file()


def test_examples_do_not_overwrite_files(tmp_path, capsys):
    """No file is written if one exists; --force overwrites it, and leaves other files alone."""
    mine, other = tmp_path / "data" / "person.toml", tmp_path / "data" / "mine.toml"
    mine.parent.mkdir()
    mine.write_text("mine")
    other.write_text("mine")
    assert main(["examples", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert (
        error == f"asyncsim: {mine} would be overwritten; choose another folder, or use --force\n"
    )
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["data", "mine.toml", "person.toml"]
    assert main(["examples", str(tmp_path), "--force"]) == 0
    assert sim.Scenario.load(mine) == sim.Scenario.load("example:person")
    assert other.read_text() == "mine"
    capsys.readouterr()
    assert main(["examples", str(other)]) == 2  # a file instead of a folder
    assert "DIR must be a folder that can be written (Not a directory)" in capsys.readouterr().err


def test_a_command_runs_an_example(tmp_path, monkeypatch, capsys):
    """In a folder without that file; a wrong name lists the valid ones."""
    monkeypatch.chdir(tmp_path)
    assert main(["run", "example:person"]) == 0
    assert "mean latency" in capsys.readouterr().out
    assert main(["run", "example:persona"]) == 2
    error = capsys.readouterr().err
    assert "must name an example scenario (agent_approval, airflow_sensor" in error
    assert "did you mean 'person'?" in error


def test_sweep_is_that_of_python(scenario_file, tmp_path, capsys):
    """Values are read as Python has them; the table has all combinations."""
    table, picture = tmp_path / "new" / "s.csv", tmp_path / "s.png"
    words = ["sweep", str(scenario_file), "--replications", "2", "--strategy", "polling 5min"]
    words += ["--vary", "server.workers=1, 2", "--vary", "strategy.interval=1min,15min"]
    assert main([*words, "--csv", str(table), "--save", str(picture)]) == 0
    assert "4 points, 2 replications" in capsys.readouterr().out
    grid = {"server.workers": [1, 2], "strategy.interval": ["1min", "15min"]}
    found = sim.sweep(Scenario.load(scenario_file), grid, [sim.Polling("5min")], 2, seed=1)
    pd.testing.assert_frame_equal(
        pd.read_csv(table), found.table.assign(error=float("nan")), check_dtype=False
    )
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_a_sweep_is_resumed(scenario_file, tmp_path, capsys, monkeypatch):
    """Finished points are not played again."""
    words = ["sweep", str(scenario_file), "--resume", str(tmp_path / "s.db"), "--json"]
    words += ["--replications", "2", "--vary", 'systems.ledger.days=Mon-Fri,"Mon, Tue"']
    assert main(words) == 0
    first = capsys.readouterr().out
    monkeypatch.setattr("asyncsim.studies.sweep.play", None)
    assert main(words) == 0
    assert capsys.readouterr().out == first
    days = {row["systems.ledger.days"] for row in json.loads(first)["rows"]}
    assert days == {"Mon-Fri", "Mon, Tue"}


@pytest.mark.parametrize(
    ("vary", "message"),
    [
        (["server.workers"], "--vary must be a field and its values, such as"),
        (["server.workers="], "--vary must be a field and its values, such as"),
        (['systems.ledger.days="Mon'], "--vary must be a field and its values, such as"),
        (["server.workers=1", "server.workers=2"], "--vary: give each field once"),
        (["server.worker=1"], "did you mean 'workers'?"),
        (["server.workers=two"], "WorkflowServer.workers must be a whole number"),
        (["server.workers=2,2"], "must hold each value once, got 2"),
    ],
)
def test_wrong_words_of_a_sweep_are_named(vary, message, scenario_file, capsys):
    """Before a run."""
    words = [word for one in vary for word in ("--vary", one)]
    assert main(["sweep", str(scenario_file), *words]) == 2
    assert message in capsys.readouterr().err


def not_json(constant):
    raise ValueError(f"{constant} is not JSON")


LOSSY = "callback loss=0.5"
REPORTS = {
    "compare": ["FILE", "--strategy", LOSSY, "--strategy", "polling 1h", "--replications", "2"],
    "run": ["FILE", "--strategy", LOSSY],
    "explain": ["FILE"],
    "capacity": ["FILE", "--target", "p95_latency <= 1h", "--replications", "2"],
    "sweep": ["FILE", "--vary", "server.workers=1,2", "--replications", "2"],
    "fit": ["LOG"],
    "verify": ["--quick"],
}
MANUAL = Path(__file__).parent.parent / "docs" / "command_line.md"
ROW = re.compile(r"^\| `(\w+)` \| ([^`|]+) \| (.+) \|$", re.MULTILINE)
KEYS = ROW.findall(MANUAL.read_text(encoding="utf-8"))
"""Key, the commands whose document has it, and its meaning."""


@pytest.fixture
def reported(scenario_file, capsys, monkeypatch):
    """Run a command with ``--json``; return its document."""
    exact = next(one for one in all_experiments() if one.exact and one.engine == "simpy")
    monkeypatch.setattr("asyncsim.verification.verify.all_experiments", lambda quick: [exact])
    places = {"FILE": str(scenario_file), "LOG": "example:request_log"}

    def run(command, *more):
        words = [places.get(word, word) for word in REPORTS[command]]
        assert main([command, *words, *more, "--json"]) == 0
        return json.loads(capsys.readouterr().out, parse_constant=not_json)

    return run


@pytest.mark.parametrize("command", REPORTS)
def test_json_is_one_document_with_the_keys_of_the_manual(command, reported):
    """Standard output has nothing else; the keys of rows are those of the manual, too."""
    found = reported(command)
    meanings = {
        key: meaning
        for key, commands, meaning in KEYS
        if commands in ("all", command)
        or command in commands.split(", ")
        or (commands == "all but verify" and command != "verify")
    }
    assert set(found) == set(meanings)
    assert found["command"] == command
    keys = set(re.findall(r"`(\w+)`", meanings["rows"]))
    assert found["rows"]
    for row in found["rows"]:
        assert set(row) - {"server.workers"} == keys


def test_every_command_that_reports_results_has_json():
    """Others write files, or serve."""
    commands = _parser()._subparsers._group_actions[0].choices
    assert {name for name, one in commands.items() if "--json" in one.format_help()} == {*REPORTS}


def test_json_has_the_numbers_of_python_and_null_for_nan(reported, scenario_file):
    """To the last bit; open waits are notes."""
    found = reported("compare")
    strategies = [sim.Callback(loss=0.5), sim.Polling("1h")]
    with pytest.warns(sim.CensoredWarning):
        same = sim.compare(Scenario.load(scenario_file), strategies, replications=2, seed=1)
    for row, own in zip(found["rows"], same.table.to_dict("records"), strict=True):
        assert (row["metric"], row["strategy"]) == (own["metric"], own["strategy"])
        for name in ("mean", "low", "high", "difference", "n"):
            assert row[name] == (None if pd.isna(own[name]) else own[name])
    assert found["notes"] == same.notes
    assert found["notes"]
    assert found["findings"] == same.findings()


def test_json_has_infinity_as_a_text(reported):
    """A wait that never resumes is infinitely late."""
    found = reported("capacity", "--strategy", LOSSY, "--question", "workers")
    assert {row["mean"] for row in found["rows"]} == {"Infinity"}
    assert found["answers"][0]["value"] is None


def test_json_has_warnings_as_notes_and_the_files(reported, tmp_path):
    """What stands on standard error or in lines of its own without it."""
    out = tmp_path / "fitted.toml"
    found = reported("fit", "--out", str(out))
    assert "completed before it was submitted: 2" in found["notes"][0]
    assert found["files"] == {"scenario": str(out)}


def test_an_error_leaves_no_document(scenario_file, capsys):
    """The exit status is 2, and the message is on standard error."""
    assert main(["run", str(scenario_file), "--strategy", "every 5 minutes", "--json"]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "did you mean 'polling 5min'?" in shown.err
