"""What a phrase states, which numbers of a text need a marker, and which markers are false."""

import math

import nbformat
import pytest
from prose import Marker, false_ones, misfits, stated


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [
        ("349 s", 348.5, 349.5),
        ("0.58 of the interval", 0.575, 0.585),
        ("5.8 min", 345, 351),
        ("70 ms", 0.0695, 0.0705),
        ("1,024 orders", 1023.5, 1024.5),
        ("22:00", 22 * 3600 - 30, 22 * 3600 + 30),
        ("08:02:48", 8 * 3600 + 167.5, 8 * 3600 + 168.5),
        ("39 %", 0.385, 0.395),
        ("nearly five hundred", 425, 500),
        ("about ten times", 8.5, 11.5),
        ("more than thirty checks", 30, math.inf),
        ("less than one in a thousand", -math.inf, 0.001),
        ("four in ten", 0.36, 0.44),
        ("two callbacks in a hundred", 0.018, 0.022),
        ("95 of 100", 0.945, 0.955),
        ("half a minute", 27, 33),
        ("a quarter of an hour", 810, 990),
        ("two and a half minutes", 135, 165),
        ("a tenth", 0.09, 0.11),
        ("four fifths of the time", 0.72, 0.88),
        ("a minute", 54, 66),
        ("fifteen checks", 14.5, 15.5),
        ("ten thousand", 9999.5, 10000.5),
        ("forty-one", 40.5, 41.5),
        ("twice", 1.8, 2.2),
        ("nearly eight a minute", 6.8, 8),
        ("half an hour", 1620, 1980),
    ],
)
def test_a_phrase_states_an_interval(text, low, high):
    """As far as it is rounded, or as its words allow."""
    assert stated(text) == pytest.approx((low, high))


def test_a_stated_tolerance_replaces_that_of_the_words():
    """A share of the number."""
    assert stated("170,000 requests", 0.02) == pytest.approx((166_600, 173_400))


@pytest.mark.parametrize("text", ["51 minutes instead of 30", "late", "two or three"])
def test_a_phrase_has_one_number(text):
    """A second one would be held against nothing."""
    with pytest.raises(ValueError, match="one number"):
        stated(text)


def problems(source, *numbers, common=()):
    cell = nbformat.v4.new_markdown_cell(source, metadata={"numbers": list(numbers)})
    notebook = nbformat.v4.new_notebook(cells=[cell], metadata={"numbers": list(common)})
    return [one for found in misfits(notebook).values() for one in found]


@pytest.mark.parametrize(
    "source",
    [
        "It takes 51 minutes.",
        "It takes ten times as long.",
        "Half of them are late.",
        "It is late by a fifth.",
        "One in ten is lost.",
        "It is sent twice.",
        "At 22:00.",
    ],
)
def test_a_number_needs_a_marker(source):
    """In digits or in words."""
    assert problems(source)[0].startswith("no marker: ")


@pytest.mark.parametrize(
    "source",
    [
        "## 1. Title",
        "**2. Exercise.** Why?",
        "See section 4 and sections 1 to 3 of notebook 02.",
        "Next: [02 Polling](02_polling.ipynb)",
        "`x = 5` and $2x$ under K2 or n8n, p95, one by one, the second one",
    ],
)
def test_other_digits_need_none(source):
    """Numbers of sections, code, formulas, names."""
    assert problems(source) == []


def test_a_marker_covers_its_phrase_across_lines():
    """Also in a quotation; a phrase that is not there is a mistake."""
    source = "> It takes about\n> ten minutes, and 3 checks."
    assert problems(source, {"text": "about ten minutes"}, {"text": "3 checks"}) == []
    assert problems(source, {"text": "about ten minutes"}, {"text": "4 checks"}) == [
        "not in the text: 4 checks",
        "no marker: 3 in …akes about > ten minutes, and 3 checks.…",
    ]


def test_a_phrase_of_the_whole_notebook_covers_every_cell():
    """It must be in one of them."""
    common = [{"text": "ten minutes"}]
    assert problems("It takes ten minutes.", common=common) == []
    assert problems("It takes long.", common=common) == ["not in the text: ten minutes"]


def test_false_markers_are_reported():
    """By value, by a condition, and without a known reason."""
    found = [
        Marker("51 minutes", "x"),
        Marker("52 minutes", "x"),
        Marker("the largest", holds="y"),
        Marker("two", given="idiom"),
        Marker("two", given="because"),
        Marker("22:00", "start"),
    ]
    answers = [51 * 60.0, 51 * 60.0, False, 0.0, 0.0, "22:00"]
    wrong = false_ones(found, answers)
    assert [each.partition(" is false")[0] for each in wrong] == [
        "'52 minutes'",
        "'the largest'",
        "'two'",
    ]
