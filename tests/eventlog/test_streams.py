"""Text files, compressed if their name says so."""

import gzip

import pytest

from asyncsim.eventlog.tabular import text_file

TEXT = "eins\nzwei\r\nährlich\n"


@pytest.mark.parametrize("name", ["log.xes", "log.xes.gz", "LOG.GZ"])
def test_what_is_written_is_in_the_file(name, tmp_path):
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
