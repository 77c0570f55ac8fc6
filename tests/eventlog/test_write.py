"""The name of a file chooses its format; an unknown name raises with the known ones."""

import json

import pandas as pd
import pytest
from mining import (
    XES,
    ocel_file,
    relations,
    written,
    xes_tree,
)
from plays import wait_for

import asyncsim as sim
from asyncsim.eventlog.write import EXTENSIONS, WRITERS, event_log_format

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
