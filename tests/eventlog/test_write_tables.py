"""Event logs as CSV and Parquet give back the table of the run."""

import importlib.util
import tempfile

import pandas as pd
import pytest
from hypothesis import given
from mining import (
    AT,
    by_case,
    in_utc,
    plain,
    runs,
    slow_input,
    written,
)
from plays import play, scenario_of, wait_for
from pyarrow import parquet

import asyncsim as sim
from asyncsim.experiment.file_output import unquoted

pytestmark = pytest.mark.slow


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
