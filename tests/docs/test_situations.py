"""The page of situations: each has its thread, a short scenario, and facts that are true."""

import re
import sys
from pathlib import Path

import pandas as pd
import pytest

import asyncsim as sim

pytest.importorskip("IPython", reason="needs the extra notebook")

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "situations.md").read_text("utf-8")
SECTIONS = {part.partition("\n")[0]: part for part in re.split(r"^### ", PAGE, flags=re.M)[1:]}
THREAD = re.compile(r"\[#(\d+)\]\(https://github\.com/([\w.-]+/[\w.-]+)/(?:issues|pull)/(\d+)\)")
MOST_LINES = 25


def fenced(text, kind):
    """Return the contents of the fenced blocks of a kind."""
    return re.findall(rf"^```{re.escape(kind)}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


@pytest.fixture
def player(monkeypatch):
    """Import the module that the cells of the page import."""
    monkeypatch.setattr(sys, "path", [str(DOCS), *sys.path])
    import play_situations

    yield play_situations
    del sys.modules["play_situations"]


@pytest.mark.parametrize("title", SECTIONS)
def test_a_situation_has_its_parts(title):
    """A thread, named as its link says; one scenario of a few lines; its run; and the cure."""
    section = SECTIONS[title]
    threads = THREAD.findall(section)
    assert threads
    for shown, repository, number in threads:
        assert shown == number
        assert re.search(rf"{re.escape(repository)}\s", section), repository
    (block,) = fenced(section, "toml")
    assert block.count("\n") <= MOST_LINES
    (cell,) = fenced(section, "{code-cell} ipython3")
    assert re.search(r'^name = "(.*)"', block, re.MULTILINE)[0][7:] in cell
    assert cell.count("holds(") >= 2
    assert "\nCure: " in section.rpartition("```")[2]


def test_the_index_lists_every_situation_once():
    """The table by symptom links each heading by its words."""
    index = re.findall(r"\[([^\]]+)\]\(#([\w-]+)\)", PAGE.partition("\n## ")[0])
    assert sorted(words for words, _ in index) == sorted(SECTIONS)
    for words, anchor in index:
        assert anchor == re.sub(r"[^\w\- ]", "", words.lower()).replace(" ", "-")


@pytest.mark.parametrize("title", SECTIONS)
def test_what_happens_is_so(title, player, capsys):
    """The cell of each situation plays its scenario alone; every sentence is checked there."""
    (cell,) = fenced(SECTIONS[title], "{code-cell} ipython3")
    names = {name: getattr(player, name) for name in ("holds", "play", "scenario")}
    exec(cell, {"sim": sim, "pd": pd} | names)
    assert capsys.readouterr().out.count("✓") == cell.count("holds(")


def test_a_false_sentence_stops_the_page(player):
    """Without this the test above would prove nothing."""
    with pytest.raises(AssertionError, match="false: pigs fly"):
        player.holds("pigs fly", False)
