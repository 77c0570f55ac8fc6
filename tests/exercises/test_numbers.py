"""Numbers: tolerance, slips of units and factors, and how far off the rest is."""

from datetime import timedelta

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncsim.exercises.checkers import CommonMistake, NumberChecker, closed_form, how_far
from asyncsim.exercises.feedback import Mark
from asyncsim.exercises.gradebook import chapters
from asyncsim.model.distributions import exponential
from asyncsim.model.strategies import Polling

SECONDS = NumberChecker(
    lambda: 84.0, "Yes.", "s", slips=(CommonMistake(lambda: 50.0, "the 2 was left out"),)
)
SHARE = NumberChecker(lambda: 0.2, "Yes.", "share")
COUNT = NumberChecker(lambda: 21.0, "Yes.", within=0.0)
SHARE_WITH_SLIP = NumberChecker(
    lambda: 0.2, "Yes.", "share", slips=(CommonMistake(0.5, "the wrong half"),)
)


def said(checker, answer):
    verdict = checker.judge(answer)
    assert verdict.mark is Mark.NOT_YET
    return verdict.findings[0].says


@pytest.mark.parametrize(
    "answer",
    [84, 85.6, "84s", "1min 24s", timedelta(seconds=84), np.float64(84), pd.Timedelta("84s")],
)
def test_a_duration_is_read_in_any_form(answer):
    """Whatever the library reads as a duration is an answer, within the tolerance."""
    assert SECONDS.judge(answer).mark is Mark.RIGHT


@pytest.mark.parametrize("answer", ["soon", None, True, float("nan"), -5, [84], object()])
def test_what_is_no_duration_is_said(answer):
    """No exception, and what would be right."""
    verdict = SECONDS.judge(answer)
    assert verdict.mark is Mark.UNREADABLE
    assert "a text such as '90s'" in verdict.findings[0].says


@pytest.mark.parametrize(
    ("checker", "answer", "why"),
    [
        (SECONDS, 50, "the 2 was left out"),
        (SECONDS, 50 / 60, "the 2 was left out (read as minutes"),
        (SECONDS, 1.4, "in minutes"),
        (SECONDS, 84 * 60, "minutes were taken for seconds"),
        (SECONDS, 84 / 3600, "in hours"),
        (SECONDS, 84_000, "in milliseconds"),
        (SECONDS, 168, "twice as much"),
        (SECONDS, 42, "half as much"),
        (SECONDS, 1 / 84, "upside down"),
        (SECONDS, 0, "nothing at all is too little"),
        (SECONDS, 100, "about 19 % too large"),
        (
            SECONDS,
            120,
            "order of magnitude is right, but that is too large by a factor of about 1.4",
        ),
        (SECONDS, 8, "too small by a factor of about 10"),
        (SHARE, 20, "per cent"),
        (SHARE, 0.8, "the share of all the others"),
        (SHARE, -0.2, "the sign is not"),
        (SHARE, -3, "not even the sign"),
        (SHARE_WITH_SLIP, 50, "the wrong half (read as per cent"),
        (COUNT, 20, "that is 1 too few"),
        (COUNT, 23, "that is 2 too many"),
        (COUNT, 17, "about 19 % too small"),
        (NumberChecker(lambda: 0.0, "Yes."), 3, "too large"),
        (NumberChecker(lambda: -2.0, "Yes."), 3, "too large"),
    ],
)
def test_slips(checker, answer, why):
    """Each likely mistake is told by its own sentence."""
    assert why in said(checker, answer)


@pytest.mark.parametrize("group", chapters().values())
def test_every_reason_goes_on_to_a_full_stop(group):
    """The checker ends the sentence itself."""
    for exercise in group:
        if isinstance(exercise.checker, NumberChecker):
            assert not [s.why for s in exercise.checker.slips if s.why.endswith((".", "?", "!"))]
    assert not said(SECONDS, 168).endswith("?.")
    assert not said(SECONDS, 42).endswith("?.")


@pytest.mark.parametrize(
    ("checker", "answer", "why"),
    [
        # 450 s is a likely mistake; 7.5 is that in minutes, and nearly the right number of seconds
        (
            NumberChecker(lambda: 7.4, "", "s", 0.01, (CommonMistake(450.0, "all was counted"),)),
            7.5,
            "is close",
        ),
        (
            NumberChecker(lambda: 7.4, "", "s", 0.01, (CommonMistake(888.0, "all was counted"),)),
            14.8,
            "twice",
        ),
        (
            NumberChecker(lambda: 9.0, "", "s", 0.01, (CommonMistake(900.0, "all was counted"),)),
            15.0,
            "order of",
        ),
        (NumberChecker(lambda: 0.48, "", "share"), 0.52, "is close"),
        (NumberChecker(lambda: 0.95, ""), 1.06, "is close"),
        (
            NumberChecker(lambda: 7.4, "", "s", 0.01, (CommonMistake(9e3, "all was counted"),)),
            150,
            "read as minu",
        ),
        (NumberChecker(lambda: 444.0, "", "s"), 7.4, "in minutes"),
    ],
)
def test_a_unit_is_guessed_only_where_the_plain_reading_is_far_off(checker, answer, why):
    """For an answer that is nearly right, the distance is shown, and nothing else."""
    assert why in said(checker, answer)


def test_own_slips_come_before_general_ones():
    """An exercise knows better than the table what a factor of two means in it."""
    own = NumberChecker(
        lambda: 10.0, "Yes.", slips=(CommonMistake(20.0, "all four workers were counted"),)
    )
    assert "all four workers" in said(own, 20)


def test_of_two_slips_the_nearer_one_is_told():
    """Slips may lie close together; the nearer one explains more."""
    two = NumberChecker(
        lambda: 10.0,
        "Yes.",
        slips=(CommonMistake(20.0, "rounded"), CommonMistake(20.1, "not rounded")),
    )
    assert "not rounded" not in said(two, 20.0)
    assert "not rounded" in said(two, 20.1)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_any_number_gets_a_reason(answer):
    """A number is right, or is told in which way it is not."""
    verdict = SHARE.judge(answer)
    assert verdict.mark is (Mark.RIGHT if abs(answer - 0.2) <= 0.004 + 1e-9 else Mark.NOT_YET)
    assert verdict.mark is Mark.RIGHT or len(verdict.findings[0].says) > 25


@given(st.floats(0.01, 100), st.floats(1.3, 1e6))
def test_direction_and_factor(expected, factor):
    """Too large is what is larger, by the factor that is told, and too small likewise."""
    assert f"too large by a factor of about {factor:.2g}" in how_far(expected * factor, expected)
    assert "too small by a factor" in how_far(expected / factor, expected)


def test_closed_form_must_be_there():
    """A strategy without one is the author's mistake, and named."""
    assert closed_form(Polling("1min"), exponential("1min")).checks > 1
    with pytest.raises(ValueError, match="no closed form for polling 1 min, 3 at most"):
        closed_form(Polling("1min", limit=3), exponential("1min"))


@pytest.mark.parametrize("answer", ["20%", "20 %", " 20.1 %"])
def test_a_share_may_be_written_in_per_cent(answer):
    """Whoever writes the sign means it."""
    assert SHARE.judge(answer).mark is Mark.RIGHT
    assert SHARE.judge("x %").mark is Mark.UNREADABLE
