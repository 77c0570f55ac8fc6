"""Every exercise of the course explains wrong answers."""

import itertools

import pytest

from asyncsim.exercises.checkers import (
    ChoiceChecker,
    NumberChecker,
    OrderingChecker,
    PropertyChecker,
    computed,
    near,
)
from asyncsim.exercises.feedback import Mark
from asyncsim.exercises.gradebook import chapters

EXERCISES = [exercise for group in chapters().values() for exercise in group]
FACTORS = (0.03, 0.2, 0.45, 0.7, 1.6, 3.3, 7, 170)


def of_kind(kind):
    found = [exercise for exercise in EXERCISES if isinstance(exercise.checker, kind)]
    return pytest.mark.parametrize("exercise", found, ids=lambda exercise: exercise.name)


def wrong_answers(checker):
    """Yield wrong answers; those to properties are in the tests of each notebook."""
    if isinstance(checker, NumberChecker):
        expected = checker.expected()
        yield from map(computed, checker.mistakes)
        yield from (factor * expected for factor in FACTORS)
    elif isinstance(checker, ChoiceChecker):
        yield from (letter for letter in checker.options if letter != checker.truth()[0])
    elif isinstance(checker, OrderingChecker):
        values = checker.values()
        right = sorted(values, key=values.__getitem__)
        yield from (list(p) for p in itertools.permutations(right) if list(p) != right)


@of_kind((NumberChecker, ChoiceChecker, OrderingChecker))
def test_a_wrong_answer_is_explained(exercise):
    """Every wrong answer is NOT YET, with a reason."""
    answers = list(wrong_answers(exercise.checker))
    assert len(answers) >= 2
    for answer in answers:
        verdict = exercise.judge(answer)
        assert verdict.mark is Mark.NOT_YET, answer
        reasons = [each.text for each in verdict.findings if not each.good]
        assert reasons
        assert len(reasons[-1]) > 30, reasons
        assert "wrong." not in reasons[-1].lower()


@of_kind(NumberChecker)
def test_each_mistake_gets_its_own_explanation(exercise):
    """No mistake is hidden by another one or by the right answer."""
    for mistake, why in exercise.checker.mistakes.items():
        value = computed(mistake)
        assert why in exercise.judge(value).findings[0].text, value


@of_kind(NumberChecker)
def test_near_the_right_answer_no_unit_is_guessed(exercise):
    """Whatever mistakes the exercise lists, in seconds or as a share."""
    for factor in (0.81, 0.9, 1.1, 1.2):
        found = exercise.judge(factor * exercise.checker.expected()).findings[0].text
        assert "read as" not in found


@of_kind(ChoiceChecker)
def test_every_choice_has_its_own_explanation(exercise):
    """The right letter is measured; no two explanations are alike."""
    right, measured = exercise.checker.truth()
    assert exercise.judge(right).mark is Mark.RIGHT
    assert len(measured) > 30
    answers = [option.explanation for option in exercise.checker.options.values()]
    assert len(set(answers)) == len(answers) >= 3


@pytest.mark.parametrize("exercise", EXERCISES, ids=lambda exercise: exercise.name)
def test_form(exercise):
    """A question, two hints or more, and neither dots nor nonsense raises."""
    assert exercise.asks.endswith(("?", ".", ")"))
    assert len(exercise.hints) >= 2
    assert len(set(exercise.hints)) == len(exercise.hints)
    assert exercise.judge(...).mark is exercise.judge(None).mark is Mark.OPEN
    for nonsense in (object(), "no idea", [], {}, float("nan"), b"", (1, 2)):
        assert exercise.judge(nonsense).mark is Mark.UNREADABLE


@of_kind(NumberChecker)
def test_hints_do_not_give_the_number_away(exercise):
    """The last hint gives the method, not the result."""
    expected = exercise.checker.expected()
    for hint in exercise.hints:
        for word in hint.replace("=", " ").replace(",", " ").replace(";", " ").split():
            with_dot = word.rstrip(".")
            if with_dot.replace(".", "", 1).isdigit():
                assert not near(float(with_dot), expected, 0.03), hint


@of_kind(PropertyChecker)
def test_properties_name_the_expected_kind(exercise):
    """For an answer that cannot be measured."""
    assert exercise.checker.wanted in exercise.judge("a good one").findings[0].text
