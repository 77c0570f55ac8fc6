"""Nothing that is written runs in a spreadsheet, and what cannot be written is refused by name."""

import csv
import io
import os
import re

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import asyncsim as sim
from asyncsim.experiment.output import (
    check_writable,
    quoted,
    save_table,
    unquoted,
    write_csv_table,
)

HOSTILE = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", " =1", "'=1", "\uff1d1", "a\r=1"]
RUN = re.compile("[\\s]*[=+\\-@\uff1d\uff0b\uff0d\uff20]|[\t\r\n]")


def cells(text):
    """Return all cells as a spreadsheet parts them: a lone carriage return ends a row, too."""
    return [cell for row in csv.reader(io.StringIO(text, newline="")) for cell in row]


@given(st.text(alphabet="'=+-@\t\r\n a1\uff1d\u00e9"))
def test_no_text_is_run_and_each_comes_back(text):
    """The quote goes before what is dangerous, and is taken away from that only."""
    assert not RUN.match(quoted(text))
    assert unquoted(quoted(text)) == text


@given(st.lists(st.text(alphabet="'=+-@\t\r\n a1;,\""), min_size=1))
def test_a_table_has_the_cells_it_was_made_of(texts):
    """Names of columns are cells as well."""
    table = pd.DataFrame([texts], columns=[f"{text}{k}" for k, text in enumerate(texts)])
    found = cells(write_csv_table(table))
    assert [unquoted(cell) for cell in found] == [*table.columns, *texts]
    assert not any(RUN.match(cell) for cell in found)


def test_numbers_stay_numbers():
    """Negative ones, too, also beside texts in a column; what is missing stays empty."""
    table = pd.DataFrame(
        {"a": [-1.5, float("nan")], "b": [-1, "-1"], "c": pd.Series([True, 1], dtype=object)}
    )
    assert write_csv_table(table) == "a,b,c\n-1.5,-1,True\n,'-1,1\n"


@pytest.mark.parametrize("name", HOSTILE)
def test_an_event_log_in_csv_comes_back_as_it_was(name, tmp_path):
    """Through `fit`, whatever the steps and systems are called."""
    step, system = f"{name} step", f"{name} system"
    scenario = sim.Scenario(
        name=name,
        process=sim.Process("p", [sim.Step("check", work="1s"), sim.AsyncStep(step, system)]),
        systems={system: sim.OnlineService("10min")},
        arrivals=sim.Regular("10min"),
        length="6h",
    )
    run = sim.simulate(scenario, sim.Callback())
    sim.write_event_log(run, tmp_path / "log.csv")
    text = (tmp_path / "log.csv").read_bytes().decode()
    assert not any(RUN.match(cell) for cell in cells(text))
    found = sim.fit(tmp_path / "log.csv")
    assert list(found.scenario.systems) == [system.strip()]
    assert [one.name for one in found.scenario.process.steps] == ["check", step.strip()]


def test_every_table_of_the_command_line_is_safe(tmp_path, monkeypatch):
    """Of compare, of run, and inside of a report."""
    from asyncsim.cli.main import main

    monkeypatch.chdir(tmp_path)
    sim.Scenario(
        name="=HYPERLINK(1)",
        process=sim.Process("p", [sim.AsyncStep("@step", "+system")]),
        systems={"+system": sim.OnlineService("10min")},
        arrivals=sim.Regular("1h"),
        length="6h",
    ).save("s.toml")
    compared = ["compare", "s.toml", "--replications", "2", "--csv", "c.csv", "--report", "r.html"]
    assert main(compared) == 0
    assert main(["run", "s.toml", "--out", "tables"]) == 0
    for place in [*tmp_path.glob("**/*.csv")]:
        table = pd.read_csv(place)
        for column in table.select_dtypes(exclude="number"):
            assert not table[column].astype(str).str.match(RUN).any(), (place, column)
    steps = pd.read_csv(tmp_path / "tables" / "steps.csv")
    assert set(steps["step"]) == {"'@step"}


BAD = {
    "a folder": "FOLDER",
    "no such folder": "nowhere/x",
    "under a file": "FILE/x",
    "too long": "x" * 300,
    "a null": "a\0b",
    "half a character": "\ud800",
}
SAYS = r"must (be (the name of a file)|be a (file that can be written|file, not a folder)|lie in a)"


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with a file and a folder."""
    (tmp_path / "FILE").write_text("")
    for ending in ("", ".csv", ".html", ".parquet", ".xes.gz", ".json", ".png"):
        (tmp_path / f"FOLDER{ending}").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("kind", BAD)
def test_a_method_names_what_it_cannot_write(kind, place):
    """Event logs in every format, and reports: the argument, the file and why; nothing is left."""
    scenario = sim.Scenario(
        name="s",
        process=sim.Process("p", [sim.AsyncStep("post", "ledger")]),
        systems={"ledger": sim.OnlineService("10min")},
        arrivals=sim.ArrivalTimes([0.0]),
    )
    before = set(place.rglob("*"))
    run = sim.simulate(scenario, sim.Callback())
    for ending in (".csv", ".parquet", ".xes.gz", ".json"):
        with pytest.raises(sim.ScenarioError, match=f"path {SAYS}"):
            sim.write_event_log(run, BAD[kind] + ending)
    compared = sim.compare(scenario, [sim.Callback()], replications=1, progress=False)
    with pytest.raises(sim.ScenarioError, match=f"path {SAYS}"):
        sim.report(compared, BAD[kind] + ".html")
    assert set(place.rglob("*")) == before


@pytest.mark.parametrize("ending", [".csv", ".xes", ".json", ".parquet"])
def test_a_full_disk_is_named(ending, place):
    """Of an event log and of a report."""
    if not os.path.exists("/dev/full"):
        pytest.skip("needs a device that is full")
    run = sim.simulate(
        sim.Scenario(
            name="s",
            process=sim.Process("p", [sim.AsyncStep("post", "ledger")]),
            systems={"ledger": sim.OnlineService("10min")},
            arrivals=sim.ArrivalTimes([0.0]),
        ),
        sim.Callback(),
    )
    (place / f"full{ending}").symlink_to("/dev/full")
    with pytest.raises(sim.ScenarioError, match="path must be a file that can be written"):
        sim.write_event_log(run, place / f"full{ending}")


def test_a_character_that_no_file_has_is_named(place):
    """Half of a pair of UTF-16."""
    with pytest.raises(sim.ScenarioError, match=r"path must be .*UTF-8 has no character '\\ud800'"):
        save_table(pd.DataFrame({"a": ["\ud800"]}, dtype=object), place / "x.csv")


def test_looking_whether_a_file_can_be_written_leaves_nothing(place):
    """One that is there keeps what is in it."""
    (place / "FILE").write_text("kept")
    check_writable(place / "FILE")
    check_writable(place / "new")
    assert (place / "FILE").read_text() == "kept"
    assert not (place / "new").exists()
