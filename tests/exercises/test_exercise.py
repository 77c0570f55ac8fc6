"""An exercise that is not answered yet."""

import numpy as np
import pytest

from asyncsim.exercises.checkers import NumberChecker
from asyncsim.exercises.feedback import Mark
from asyncsim.exercises.gradebook import Exercise, unanswered

ADD = Exercise(
    "99 add", "How much is 1 + 1?", NumberChecker(lambda: 2.0, "Two."), ("count", "1, 2")
)


@pytest.mark.parametrize("answer", [..., None, [1, ...], (..., "callback"), [[...]], [None]])
def test_dots_and_nothing_are_no_answer(answer):
    """Dots and None, also within a list, get the task."""
    verdict = ADD.judge(answer)
    assert verdict.mark is Mark.OPEN
    assert "How much is 1 + 1?" in verdict.findings[0].says


@pytest.mark.parametrize("answer", [0, [], "...", "None", np.arange(3), {"a": 1}])
def test_anything_else_is_an_answer(answer):
    """Even one that cannot be read."""
    assert not unanswered(answer)
    assert ADD.judge(answer).mark is not Mark.OPEN
