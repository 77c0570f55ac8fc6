"""What somebody built is measured."""

import warnings

import pytest

from asyncsim.errors import CensoredWarning, ScenarioError
from asyncsim.exercises.checkers import PropertyChecker
from asyncsim.exercises.feedback import Finding, Mark


def measure(value):
    warnings.warn("3 waits are open", CensoredWarning, stacklevel=1)
    if value > 100:
        raise ScenarioError("interval must be below 100")
    yield Finding(value > 0, f"{value} is measured")


POSITIVE = PropertyChecker(
    "a whole number", lambda answer: isinstance(answer, int), measure, "Positive."
)


def test_measured():
    """What was measured is told either way; warnings of open waits are not, the findings tell."""
    assert [each.says for each in POSITIVE.judge(1).findings] == ["1 is measured", "Positive."]
    assert POSITIVE.judge(-1).mark is Mark.NOT_YET


def test_what_cannot_be_played_is_said():
    """An error of the library becomes feedback."""
    verdict = POSITIVE.judge(101)
    assert verdict.mark is Mark.UNREADABLE
    assert verdict.findings[0].says == "It could not be played: interval must be below 100"


def test_what_does_not_fit_is_said():
    """Something else than what is wanted."""
    assert "must be a whole number; got 'x'" in POSITIVE.judge("x").findings[0].says


def test_mistakes_in_own_code_are_not_swallowed():
    """Whoever writes a strategy with a bug in it wants to see where."""
    with pytest.raises(ZeroDivisionError):
        PropertyChecker("any", lambda answer: True, lambda answer: iter([1 / 0]), "").judge(1)
