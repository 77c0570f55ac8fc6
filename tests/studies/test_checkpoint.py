"""Damage to a checkpoint is noticed."""

import random
import sqlite3
import warnings

import pandas as pd
import pytest

import asyncsim as sim
from asyncsim.studies import checkpoint

GRID = {"server.workers": [1, 2, 3]}
PAIR = [sim.Callback("1s"), sim.Polling("5min")]


def swept(file=None, **options):
    """A sweep that takes no time: three points of two replications."""
    scenario = sim.Scenario(
        name="orders",
        process=sim.Process("p", [sim.AsyncStep("post", "ledger")]),
        systems={"ledger": sim.NightlyBatch("22:00", "20s")},
        arrivals=sim.UniformArrivals(5, between=("08:00", "20:00")),
    )
    more = {"replications": 2, "resume": file, "progress": False} | options
    return sim.sweep(scenario, GRID, PAIR, **more)


@pytest.fixture(scope="module")
def right():
    """The sweep without a file."""
    return swept()


@pytest.fixture
def file(tmp_path):
    """The file of the whole sweep."""
    swept(tmp_path / "s.sqlite")
    return tmp_path / "s.sqlite"


def edited(file, statement):
    """Change a file by hand."""
    db = sqlite3.connect(file)
    with db:
        assert db.execute(statement).rowcount > 0
    db.close()
    return file


@pytest.mark.parametrize(
    ("change", "rows"),
    [
        ("update points set metrics = zeroblob(length(metrics)) where rowid = 1", "1 row of"),
        ("update points set metrics = x'00ff' where rowid = 1", "1 row of"),
        ("update points set metrics = x'' where rowid = 1", "1 row of"),
        ("update points set metrics = null where rowid = 1", "1 row of"),
        ("update points set metrics = 'many' where rowid = 1", "1 row of"),
        ("update points set metrics = 5 where rowid = 1", "1 row of"),
        ("update points set checksum = null where rowid = 1", "1 row of"),
        ("update points set checksum = x'00ff' where rowid = 1", "1 row of"),
        ("update points set metrics = zeroblob(8)", "3 rows of"),
    ],
)
def test_a_damaged_row_is_played_again(change, rows, file, right):
    """The user is warned how many there are; the file is whole afterwards."""
    edited(file, change)
    with pytest.warns(UserWarning, match=f"resume: {rows} .*damaged; .* played again"):
        found = swept(file)
    assert found.resumed == 3 - int(rows[0])
    pd.testing.assert_frame_equal(found.table, right.table)
    assert swept(file).resumed == 3


def test_a_missing_row_is_played_again(file, right):
    """It is a point that was not played yet."""
    edited(file, "delete from points where rowid = 1")
    found = swept(file)
    assert found.resumed == 2
    pd.testing.assert_frame_equal(found.table, right.table)


def test_rows_that_have_changed_places_are_played_again(file, right):
    """Each row is good by itself, but of another point."""
    edited(file, "update points set point = '[9]' where point = '[1]'")
    edited(file, "update points set point = '[1]' where point = '[2]'")
    edited(file, "update points set point = '[2]' where point = '[9]'")
    with pytest.warns(UserWarning, match="resume: 2 rows"):
        pd.testing.assert_frame_equal(swept(file).table, right.table)


def test_a_file_of_another_version_is_refused(file, monkeypatch):
    """Metrics of two versions are never mixed; the message says what to do."""
    monkeypatch.setattr(checkpoint, "version", lambda _: "99.0")
    with pytest.raises(
        sim.ScenarioError, match=r"resume must be a file of asyncsim 99\.0, .*: take a new file"
    ):
        swept(file)


def test_a_file_without_a_version_is_refused(file):
    """The message says so."""
    edited(file, "delete from sweep where what like 'version%'")
    with pytest.raises(sim.ScenarioError, match="of 'an unknown version'"):
        swept(file)


@pytest.mark.parametrize(
    "change",
    [
        "update sweep set is_ = x'ff00'",
        "update sweep set what = x'ff00' where what = 'seed'",
        "delete from sweep",
    ],
)
def test_what_a_sweep_is_may_be_damaged_as_well(change, file):
    """Then the file is not of this sweep."""
    with pytest.raises(sim.ScenarioError, match="resume must be a file of"):
        swept(edited(file, change))


@pytest.mark.parametrize("path", ["a\0b", "\ud800", "x" * 5000, "."])
def test_a_path_that_no_file_has_is_refused(path, tmp_path, monkeypatch):
    """By name, before anything is played."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(sim.ScenarioError, match="resume must be"):
        swept(path)


def test_a_file_that_cannot_be_written_any_more_is_named(file):
    """It may be locked, or the disk full."""
    edited(file, "delete from points")
    other = sqlite3.connect(file)
    other.execute(
        "create trigger full before insert on points begin select raise(fail, 'full'); end"
    )
    other.commit()
    other.close()
    with pytest.raises(sim.ScenarioError, match=r"resume must be .*\(full\); delete a damaged one"):
        swept(file)


@pytest.mark.slow
def test_a_flipped_bit_is_an_error_by_name_or_changes_nothing(file, right, tmp_path):
    """At 300 places, two thirds of them where something is written."""
    content, chance = file.read_bytes(), random.Random(5)
    written = [place for place, byte in enumerate(content) if byte]
    refused = 0
    for k in range(300):
        place = chance.choice(written) if k % 3 else chance.randrange(len(content))
        flipped = bytearray(content)
        flipped[place] ^= 1 << chance.randrange(8)
        damaged = tmp_path / f"{k}.sqlite"
        damaged.write_bytes(flipped)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            try:
                found = swept(damaged)
            except sim.ScenarioError as error:
                refused += damaged.name in str(error) or pytest.fail(str(error))
            else:
                pd.testing.assert_frame_equal(found.table, right.table, obj=f"bit in byte {place}")
        damaged.unlink()
    assert 0 < refused < 300
