"""Checkers: choices and orders, numbers, and properties that are measured."""

import itertools
import re
import warnings
from datetime import timedelta

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncsim.errors import CensoredWarning, ScenarioError
from asyncsim.exercises.checkers import (
    ChoiceChecker,
    NumberChecker,
    Option,
    OrderingChecker,
    PropertyChecker,
    closed_form,
    how_far,
)
from asyncsim.exercises.feedback import Mark, Remark
from asyncsim.exercises.gradebook import chapters
from asyncsim.model.distributions import exponential
from asyncsim.model.strategies import Polling

WHY = {
    "a": Option("by a check", "A callback needs no checks."),
    "b": Option("by a callback", "With its serial number."),
}
CHOICE = ChoiceChecker(WHY, lambda: ("b", "Simulated: 1 delivery."))
SIZES = {"mouse": 0.1, "cat": 0.5, "cow": 2.0, "whale": 30.0}
ORDER = OrderingChecker(
    lambda: SIZES, "By size.", {("whale", "cow"): "a whale is not a fish, but large"}, unit="m"
)


@pytest.mark.parametrize("answer", ["b", " B ", "(b)", "b)"])
def test_the_right_letter_is_read_in_any_form(answer):
    """Ignoring brackets, spaces and case; the feedback has the measurement and the explanation."""
    verdict = CHOICE.judge(answer)
    assert verdict.mark is Mark.RIGHT
    assert [each.text for each in verdict.findings] == [
        "Simulated: 1 delivery.",
        WHY["b"].explanation,
    ]


def test_a_wrong_choice_gets_its_own_explanation():
    """It names the misconception, and does not reveal the measurement."""
    verdict = CHOICE.judge("a")
    assert verdict.mark is Mark.NOT_YET
    assert [each.text for each in verdict.findings] == [f"Not (a): {WHY['a'].explanation}"]


@pytest.mark.parametrize("answer", ["c", "", 1, None, ["b"]])
def test_other_letters_are_unreadable(answer):
    """The feedback lists the letters."""
    verdict = CHOICE.judge(answer)
    assert verdict.mark is Mark.UNREADABLE
    assert "'a' or 'b'" in verdict.findings[0].text


def test_every_wrong_order_is_explained():
    """One permutation passes; the others get a wrong pair, or are reported as reversed."""
    for order in itertools.permutations(SIZES):
        verdict = ORDER.judge(list(order))
        text = verdict.findings[-1].text
        if list(order) == list(SIZES):
            assert verdict.mark is Mark.RIGHT
            assert "cat 0.5 m" in verdict.findings[0].text
        else:
            assert verdict.mark is Mark.NOT_YET
            assert "reversed" in text or "larger of the two" in text or "not a fish" in text


def test_a_listed_swap_is_explained_first():
    """A pair with feedback of its own comes before other pairs."""
    findings = ORDER.judge(["cat", "mouse", "whale", "cow"]).findings
    assert findings[0].text == "0 of 4 are in the right place."
    assert findings[1].text == "a whale is not a fish, but large"


@pytest.mark.parametrize("answer", ["mouse", ["mouse"], ["mouse"] * 4, [1, 2, 3, 4], None])
def test_other_names_are_unreadable(answer):
    """Missing, repeated or unknown names; the feedback lists the right ones."""
    verdict = ORDER.judge(answer)
    assert verdict.mark is Mark.UNREADABLE
    assert "'mouse', 'cat', 'cow', 'whale'" in verdict.findings[0].text


SECONDS = NumberChecker(lambda: 84.0, "Yes.", "s", mistakes={(lambda: 50.0): "the 2 was left out"})
SHARE = NumberChecker(lambda: 0.2, "Yes.", "share")
COUNT = NumberChecker(lambda: 21.0, "Yes.", within=0.0)
SHARE_WITH_MISTAKE = NumberChecker(lambda: 0.2, "Yes.", "share", mistakes={0.5: "the wrong half"})


def explanation(checker, answer):
    verdict = checker.judge(answer)
    assert verdict.mark is Mark.NOT_YET
    return verdict.findings[0].text


@pytest.mark.parametrize(
    "answer",
    [84, 85.6, "84s", "1min 24s", timedelta(seconds=84), np.float64(84), pd.Timedelta("84s")],
)
def test_a_duration_is_read_in_any_form(answer):
    """Whatever the library reads as a duration is an answer, within the tolerance."""
    assert SECONDS.judge(answer).mark is Mark.RIGHT


@pytest.mark.parametrize("answer", ["soon", None, True, float("nan"), -5, [84], object()])
def test_an_invalid_duration_is_unreadable(answer):
    """No exception; the feedback shows a valid one."""
    verdict = SECONDS.judge(answer)
    assert verdict.mark is Mark.UNREADABLE
    assert "a text such as '90s'" in verdict.findings[0].text


@pytest.mark.parametrize(
    ("checker", "answer", "why"),
    [
        (SECONDS, 50, "the 2 was left out"),
        (SECONDS, 50 / 60, "the 2 was left out (read as minutes"),
        (SECONDS, 1.4, "in minutes"),
        (SECONDS, 84 * 60, "are minutes and seconds, or hours and minutes, mixed up?"),
        (SECONDS, 84 * 24, "are days and hours mixed up?"),
        (SECONDS, 84 / 86_400, "in days"),
        (COUNT, 21_000, "are seconds and milliseconds mixed up?"),
        (COUNT, 21 / 24, "are days and hours mixed up?"),
        (SECONDS, 84 / 3600, "in hours"),
        (SECONDS, 84_000, "in milliseconds"),
        (SECONDS, 168, "twice as much"),
        (SECONDS, 42, "half as much"),
        (SECONDS, 1 / 84, "reciprocal"),
        (SECONDS, 0, "zero is too small"),
        (SECONDS, 100, "close, but too large: is something rounded, or counted that does not"),
        (
            SECONDS,
            120,
            "order of magnitude is right, but that is too large: what is counted that does not",
        ),
        (SECONDS, 8, "too small by a factor of more than 10"),
        (SHARE, 20, "per cent"),
        (SHARE, 0.8, "the share of all the others"),
        (SHARE, -0.2, "the sign is not"),
        (SHARE, -3, "not even the sign"),
        (SHARE_WITH_MISTAKE, 50, "the wrong half (read as per cent"),
        (COUNT, 20, "are the first and the last one counted, and should they be?"),
        (COUNT, 23, "are the first and the last one counted, and should they be?"),
        (COUNT, 21.2, "must be a whole number"),
        (COUNT, 17, "close, but too small: is something rounded, or left out?"),
        (NumberChecker(lambda: 0.0, "Yes."), 3, "too large"),
        (NumberChecker(lambda: -2.0, "Yes."), 3, "too large"),
    ],
)
def test_common_mistakes(checker, answer, why):
    """Each likely mistake has its own explanation."""
    assert why in explanation(checker, answer)


@pytest.mark.parametrize("group", chapters().values())
def test_explanations_end_without_a_full_stop(group):
    """The checker adds it."""
    for exercise in group:
        if isinstance(exercise.checker, NumberChecker):
            explanations = exercise.checker.mistakes.values()
            assert not [why for why in explanations if why.endswith((".", "?", "!"))]
    assert not explanation(SECONDS, 168).endswith("?.")
    assert not explanation(SECONDS, 42).endswith("?.")


@pytest.mark.parametrize(
    ("checker", "answer", "why"),
    [
        # 450 s is a likely mistake; 7.5 is that in minutes, and nearly the right number of seconds
        (NumberChecker(lambda: 7.4, "", "s", 0.01, {450.0: "all was counted"}), 7.5, "is close"),
        (NumberChecker(lambda: 7.4, "", "s", 0.01, {888.0: "all was counted"}), 14.8, "twice"),
        (NumberChecker(lambda: 9.0, "", "s", 0.01, {900.0: "all was counted"}), 15.0, "order of"),
        (NumberChecker(lambda: 0.48, "", "share"), 0.52, "is close"),
        (NumberChecker(lambda: 0.95, ""), 1.06, "is close"),
        (NumberChecker(lambda: 7.4, "", "s", 0.01, {9e3: "all was counted"}), 150, "read as minu"),
        (NumberChecker(lambda: 444.0, "", "s"), 7.4, "in minutes"),
    ],
)
def test_a_unit_is_guessed_only_where_the_plain_reading_is_far_off(checker, answer, why):
    """For an answer that is nearly right, the feedback is the distance only."""
    assert why in explanation(checker, answer)


def test_mistakes_of_the_exercise_come_before_general_ones():
    """A factor of two may have its own meaning in an exercise."""
    own = NumberChecker(lambda: 10.0, "Yes.", mistakes={20.0: "all four workers were counted"})
    assert "all four workers" in explanation(own, 20)


def test_of_two_mistakes_the_nearer_one_is_explained():
    """Mistakes may be close together."""
    two = NumberChecker(lambda: 10.0, "Yes.", mistakes={20.0: "rounded", 20.1: "not rounded"})
    assert "not rounded" not in explanation(two, 20.0)
    assert "not rounded" in explanation(two, 20.1)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_any_number_gets_an_explanation(answer):
    """A number is right, or the feedback says how it is wrong."""
    verdict = SHARE.judge(answer)
    assert verdict.mark is (Mark.RIGHT if abs(answer - 0.2) <= 0.004 + 1e-9 else Mark.NOT_YET)
    assert verdict.mark is Mark.RIGHT or len(verdict.findings[0].text) > 25


@given(st.floats(0.01, 100), st.floats(1.3, 1e6))
def test_direction_and_factor(expected, factor):
    """Too large or too small, by more than the factor in the feedback, which is a round one."""
    for value, direction in ((expected * factor, "too large"), (expected / factor, "too small")):
        text = how_far(value, expected)
        assert direction in text
        assert ("order of magnitude is right" in text) or (factor > 2.8)
        for bound in map(int, re.findall("more than ([0-9]+)", text)):
            assert bound in (2, 10, 100, 1000)
            assert bound < factor * (1 + 1e-9)
            assert factor < 10 * bound * (1 + 1e-9) or bound == 1000


def test_a_strategy_without_closed_form_is_named():
    """It is a mistake of the author of the exercise."""
    assert closed_form(Polling("1min"), exponential("1min")).checks > 1
    with pytest.raises(ValueError, match="no closed form for polling 1 min, 3 at most"):
        closed_form(Polling("1min", limit=3), exponential("1min"))


@pytest.mark.parametrize("answer", ["20%", "20 %", " 20.1 %"])
def test_a_share_may_be_written_in_per_cent(answer):
    """With the sign."""
    assert SHARE.judge(answer).mark is Mark.RIGHT
    assert SHARE.judge("x %").mark is Mark.UNREADABLE


def measure(value):
    warnings.warn("3 waits are open", CensoredWarning, stacklevel=1)
    if value > 100:
        raise ScenarioError("interval must be below 100")
    yield Remark(value > 0, f"{value} is measured")


POSITIVE = PropertyChecker(
    "a whole number", lambda answer: isinstance(answer, int), measure, "Positive."
)


def test_measurements_are_findings():
    """For right and wrong answers; warnings of open waits are suppressed."""
    assert [each.text for each in POSITIVE.judge(1).findings] == ["1 is measured", "Positive."]
    assert POSITIVE.judge(-1).mark is Mark.NOT_YET


def test_a_simulation_error_is_unreadable():
    """An error of the library becomes feedback."""
    verdict = POSITIVE.judge(101)
    assert verdict.mark is Mark.UNREADABLE
    assert verdict.findings[0].text == "It could not be simulated: interval must be below 100"


def test_another_object_is_unreadable():
    """The feedback names the expected kind."""
    assert "must be a whole number; got 'x'" in POSITIVE.judge("x").findings[0].text


def test_exceptions_of_user_code_propagate():
    """The traceback shows a bug in the strategy of a participant."""
    with pytest.raises(ZeroDivisionError):
        PropertyChecker("any", lambda answer: True, lambda answer: iter([1 / 0]), "").judge(1)
