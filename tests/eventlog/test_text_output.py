"""Timestamps are exact to the microsecond, also on both change nights; text files compress."""

import gzip
from datetime import date

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncsim.eventlog.text_output import clock_of, in_utc, in_zone, text_file
from asyncsim.model.calendar import Calendar

ZONES = [None, "Europe/Berlin", "America/New_York", "Asia/Kathmandu", "UTC"]


@given(
    st.sampled_from(ZONES),
    st.sampled_from([date(2026, 3, 28), date(2026, 10, 24), date(2026, 1, 5)]),
    st.lists(st.floats(0.0, 3 * 86400.0), max_size=5),
)
def test_texts_are_the_timestamps_they_stand_for(zone, start, seconds):
    """Read back they are equal to the microsecond, whichever way they are written."""
    stamps = Calendar(start, zone).timestamps(np.array(seconds))
    expected = stamps.tz_localize("UTC") if zone is None else stamps.tz_convert("UTC")
    for texts in (in_zone(stamps), in_utc(stamps)):
        assert pd.to_datetime(pd.Index(texts, dtype="str"), utc=True).tolist() == expected.tolist()


@pytest.mark.parametrize(
    ("start", "texts"),
    [
        (date(2026, 3, 29), ["01:59:59.000000+01:00", "03:00:00.000000+02:00"]),
        (date(2026, 10, 25), ["01:59:59.000000+02:00", "02:00:00.000000+02:00"]),
    ],
)
def test_offsets_change_on_the_nights_on_which_clocks_do(start, texts):
    """In spring an hour is missing; in autumn the offset stays for one more hour."""
    stamps = Calendar(start, "Europe/Berlin").timestamps(np.array([7199.0, 7200.0]))
    assert in_zone(stamps) == [f"{start}T{text}" for text in texts]
    again = Calendar(start, "Europe/Berlin").timestamps(np.array([10800.0]))
    assert in_zone(again)[0].endswith("+02:00" if start.month == 3 else "02:00:00.000000+01:00")


def test_an_offset_west_of_greenwich_is_negative():
    """Half past noon in New York is half past five in the afternoon in UTC."""
    stamps = Calendar(date(2026, 1, 5), "America/New_York").timestamps(np.array([45000.25]))
    assert in_zone(stamps) == ["2026-01-05T12:30:00.250000-05:00"]
    assert in_utc(stamps) == ["2026-01-05T17:30:00.250000Z"]


def test_a_file_describes_its_clock():
    """The zone, or that there is none."""
    assert clock_of(Calendar(date(2026, 1, 5), "Europe/Berlin")).endswith("Europe/Berlin")
    assert "written as UTC" in clock_of(Calendar(date(2026, 1, 5)))


TEXT = "eins\nzwei\r\nährlich\n"


@pytest.mark.parametrize("name", ["log.xes", "log.xes.gz", "LOG.GZ"])
def test_the_file_holds_the_text(name, tmp_path):
    """In UTF-8, with line ends as they are."""
    with text_file(tmp_path / name) as file:
        file.write(TEXT)
    data = (tmp_path / name).read_bytes()
    if name.lower().endswith(".gz"):
        data = gzip.decompress(data)
    assert data == TEXT.encode("utf-8")


def test_the_same_text_makes_the_same_bytes(tmp_path):
    """Neither the name nor the time of writing is in a compressed file."""
    for name in ("a.gz", "b.gz"):
        with text_file(tmp_path / name) as file:
            file.write(TEXT)
    data = (tmp_path / "a.gz").read_bytes()
    assert data == (tmp_path / "b.gz").read_bytes()
    assert data[4:8] == bytes(4)  # the field for the time
