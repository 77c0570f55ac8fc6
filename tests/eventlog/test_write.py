"""The name of a file chooses its format; CSV and Parquet hold the table of the run."""

import importlib.util
import json
import tempfile

import pandas as pd
import pytest
from hypothesis import given
from mining import (
    AT,
    XES,
    by_case,
    in_utc,
    ocel_file,
    plain,
    relations,
    runs,
    slow_input,
    written,
    xes_tree,
)
from plays import play, scenario_of, wait_for
from pyarrow import parquet

import asyncsim as sim
from asyncsim.eventlog.write import EXTENSIONS, WRITERS, event_log_format
from asyncsim.experiment.file_output import unquoted

BEGINNINGS = {"csv": b"case:", "parquet": b"PAR1", "xes": b"<?xml", "ocel": b"{"}


@pytest.fixture(scope="module")
def run():
    """One wait of ten seconds."""
    return wait_for(sim.Callback(), 10.0)


@pytest.mark.parametrize("extension", EXTENSIONS)
def test_the_extension_chooses_the_format(extension, run, tmp_path):
    """In capitals, too; the file begins as its format does."""
    for path in (tmp_path / f"log{extension}", tmp_path / f"LOG{extension.upper()}"):
        sim.write_event_log(run, path)
        gzipped = extension.endswith(".gz")
        assert path.read_bytes().startswith(
            b"\x1f\x8b" if gzipped else BEGINNINGS[EXTENSIONS[extension]]
        )


@pytest.mark.parametrize("format", WRITERS)
def test_a_given_format_takes_precedence_over_the_name(format, run, tmp_path):
    """The file may have any name, and the path may be a string."""
    sim.write_event_log(run, str(tmp_path / "log.txt"), format=format)
    assert (tmp_path / "log.txt").read_bytes().startswith(BEGINNINGS[format])


@pytest.mark.parametrize("extension", EXTENSIONS)
def test_a_run_without_a_single_instance_is_a_file_as_well(extension, tmp_path):
    """Stopped before the first arrival."""
    empty = wait_for(sim.Callback(), arrivals=[10.0], until=5.0)
    path = written(empty, tmp_path, f"log{extension}")
    if EXTENSIONS[extension] == "xes":
        assert not list(xes_tree(path).iter(f"{XES}trace"))
    elif EXTENSIONS[extension] == "ocel":
        assert ocel_file(path)["events"] == []
    else:
        read = pd.read_csv if extension == ".csv" else pd.read_parquet
        assert list(read(path).columns) == list(empty.event_log().columns)


def test_a_file_that_is_there_is_overwritten(run, tmp_path):
    """Nothing of the old one is left."""
    (tmp_path / "log.json").write_text("x" * 100_000)
    sim.write_event_log(run, tmp_path / "log.json")
    assert json.loads((tmp_path / "log.json").read_text())["events"]


@pytest.mark.parametrize(
    ("path", "format", "message"),
    [
        (
            "log.xse",
            None,
            r"path must end in one of \.csv, .*, got .*; did you mean '.xes'",
        ),
        ("log", None, r"path must end in one of \.csv, \.parquet, \.xes, \.xes\.gz, \.json"),
        ("log.csv.gz", None, "path must end in one of"),
        ("log.xes", "xmls", r"format must be one of 'csv', .*, got 'xmls'"),
        ("log.xes", "ocle", "did you mean 'ocel'"),
        ("log.xes", ["xes"], r"format must be one of .*, got \['xes'\]"),
        ("nowhere/log.xes", None, r"path must lie in a folder that exists, not '.*nowhere'"),
    ],
)
def test_a_wrong_name_raises(path, format, message, run, tmp_path):
    """With the value, and what would be right."""
    with pytest.raises(sim.ScenarioError, match=message):
        sim.write_event_log(run, tmp_path / path, format=format)
    assert not list(tmp_path.iterdir())


def test_an_object_other_than_a_run_or_a_path_and_a_folder_raise(run, tmp_path):
    """Such as the table instead of the run."""
    with pytest.raises(sim.ScenarioError, match=r"run must be a run, such as simulate\(\) returns"):
        sim.write_event_log(run.event_log(), tmp_path / "log.csv")
    with pytest.raises(sim.ScenarioError, match="path must be the name of a file, got 5"):
        sim.write_event_log(run, 5)
    (tmp_path / "log.csv").mkdir()
    with pytest.raises(sim.ScenarioError, match="path must be a file, not a folder"):
        sim.write_event_log(run, tmp_path / "log.csv")


def test_the_format_is_known_before_there_is_a_run():
    """The command line reports a wrong name before it plays."""
    assert event_log_format("a.b/c.XES.GZ") == "xes"
    with pytest.raises(sim.ScenarioError, match="path must end in"):
        event_log_format("a.xes/c")


def test_a_live_session_is_written_up_to_now(tmp_path):
    """Also after an operator's retry, under whose new number the step waits."""
    scenario = sim.Scenario(
        name="live",
        process=sim.Process("p", [sim.AsyncStep("w", "out")]),
        systems={"out": sim.OnlineService("1min", lanes=None)},
        arrivals=sim.ArrivalTimes([8 * 3600.0]),
    )
    with sim.live(scenario, hold=True) as session:
        session.run_until("09:00")
        session.retry("1_1")
        for extension in EXTENSIONS:
            sim.write_event_log(session.so_far(), tmp_path / f"log{extension}")
    found = json.loads((tmp_path / "log.json").read_text())
    numbers = [thing["id"] for thing in found["objects"] if thing["type"] == "serial number"]
    assert numbers == ["serial number 1_1", "serial number 1_2"]
    # The times of the call are those of the last try, and so is its number
    (call,) = [event for event in found["events"] if event["type"] == "call started"]
    assert relations(call)["under"] == "serial number 1_2"
    assert call["time"] == "2026-01-05T09:00:00.000000Z"


@slow_input
@given(runs())
def test_tables_read_back_as_they_were(run):
    """Every cell of every event, in the same order, times to the microsecond."""
    log = run.event_log()
    with tempfile.TemporaryDirectory() as folder:
        csv = pd.read_csv(
            written(run, folder, "log.csv"), dtype=str, keep_default_na=False, na_values=[""]
        )
        parquet = pd.read_parquet(written(run, folder, "log.parquet"))
    texts = [name for name in log.columns if name != AT]
    csv[texts] = csv[texts].map(unquoted, na_action="ignore")
    for found in (csv, parquet):
        assert list(found.columns) == list(log.columns)
        assert plain(found, texts) == plain(log, texts)
        assert in_utc(found[AT]).tolist() == in_utc(log[AT]).tolist()


def test_pm4py_reads_the_csv(tmp_path):
    """Cases, events and activities are those of the run."""
    import pm4py

    steps = [sim.Step("s", 1.0), sim.AsyncStep("w", "out")]
    run = play(sim.Callback("1s"), scenario_of(steps, arrivals=[0.0, 5.0, 9.5]))
    log = pm4py.format_dataframe(pd.read_csv(written(run, tmp_path, "log.csv")))
    assert log["case:concept:name"].nunique() == len(run.instances)
    assert len(log) == len(run.event_log())
    assert pm4py.get_event_attribute_values(log, "concept:name") == {"s": 9, "w": 15}
    expected = by_case(run.event_log())
    assert in_utc(log[AT]).tolist() == expected[AT].tolist()


def test_parquet_has_types_and_describes_the_run(tmp_path):
    """Times are timestamps in the zone, texts are texts even where there is none."""
    run = play(sim.Callback(), scenario_of([sim.Step("s", 1.0)], zone="Europe/Berlin"))
    log = pd.read_parquet(written(run, tmp_path, "log.parquet"))
    assert str(log[AT].dtype) == "datetime64[us, Europe/Berlin]"
    assert log["serial_number"].isna().all()
    text = parquet.read_schema(tmp_path / "log.parquet").field("serial_number").type
    assert str(text).endswith("string")  # pandas 2 reads it as objects if there is none
    assert log.attrs["strategy"] == "callback"
    assert log.attrs["clock"] == "time zone of the scenario: Europe/Berlin"


def test_a_clock_without_a_zone_is_written_as_utc(tmp_path):
    """Both tables have an offset, and Parquet reports that the scenario has none."""
    run = wait_for(sim.Callback(), 10.0)
    lines = written(run, tmp_path, "log.csv").read_text().splitlines()
    assert lines[-1].endswith("2026-01-05T00:00:10.000000+00:00")
    log = pd.read_parquet(written(run, tmp_path, "log.parquet"))
    assert str(log[AT].dt.tz) == "UTC"
    assert "written as UTC" in log.attrs["clock"]


def test_without_pyarrow_the_error_names_what_to_install(tmp_path, monkeypatch):
    """And no file is opened."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(sim.EngineError, match=r"pip install 'asyncsim\[logs\]'"):
        sim.write_event_log(wait_for(sim.Callback()), tmp_path / "log.parquet")
    assert not (tmp_path / "log.parquet").exists()
