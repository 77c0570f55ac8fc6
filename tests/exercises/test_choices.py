"""Statements to choose, and names to order."""

import itertools

import pytest

from asyncsim.exercises.checkers import Choice, Option, Ordering
from asyncsim.exercises.feedback import Mark

WHY = {
    "a": Option("it is asked", "Nobody asks under a callback."),
    "b": Option("it is told", "By its serial number."),
}
CHOICE = Choice(WHY, lambda: ("b", "Played: 1 delivery."))
SIZES = {"mouse": 0.1, "cat": 0.5, "cow": 2.0, "whale": 30.0}
ORDER = Ordering(
    lambda: SIZES, "By size.", {("whale", "cow"): "a whale is no fish, but large"}, unit="m"
)


@pytest.mark.parametrize("answer", ["b", " B ", "(b)", "b)"])
def test_the_right_letter_is_read_kindly(answer):
    """Brackets, spaces and capitals do not matter; what was measured and why it is so are told."""
    verdict = CHOICE.judge(answer)
    assert verdict.mark is Mark.RIGHT
    assert [each.says for each in verdict.findings] == ["Played: 1 delivery.", WHY["b"].because]


def test_a_wrong_choice_gets_its_own_answer():
    """The misconception is met, and what was measured is not given away."""
    verdict = CHOICE.judge("a")
    assert verdict.mark is Mark.NOT_YET
    assert [each.says for each in verdict.findings] == [f"Not (a): {WHY['a'].because}"]


@pytest.mark.parametrize("answer", ["c", "", 1, None, ["b"]])
def test_no_letter_of_these(answer):
    """What is no letter of the choice is said, with the letters."""
    verdict = CHOICE.judge(answer)
    assert verdict.mark is Mark.UNREADABLE
    assert "'a' or 'b'" in verdict.findings[0].says


def test_every_order_but_one_is_told_what_is_wrong_with_it():
    """Of all permutations one passes; the others are told a pair, or that they are reversed."""
    for given in itertools.permutations(SIZES):
        verdict = ORDER.judge(list(given))
        says = verdict.findings[-1].says
        if list(given) == list(SIZES):
            assert verdict.mark is Mark.RIGHT
            assert "cat 0.5 m" in verdict.findings[0].says
        else:
            assert verdict.mark is Mark.NOT_YET
            assert "wrong way round" in says or "larger of the two" in says or "no fish" in says


def test_a_known_swap_is_met_before_others():
    """Where a swap has an answer of its own, that one is given."""
    says = ORDER.judge(["cat", "mouse", "whale", "cow"]).findings
    assert says[0].says == "0 of 4 stand in their places."
    assert says[1].says == "a whale is no fish, but large"


@pytest.mark.parametrize("answer", ["mouse", ["mouse"], ["mouse"] * 4, [1, 2, 3, 4], None])
def test_not_these_names(answer):
    """Missing, doubled or unknown names are said, with those that are wanted."""
    verdict = ORDER.judge(answer)
    assert verdict.mark is Mark.UNREADABLE
    assert "'mouse', 'cat', 'cow', 'whale'" in verdict.findings[0].says
