"""The gradebook: unanswered exercises, names, hints, and the latest feedback."""

import numpy as np
import pytest

from asyncsim import exercises
from asyncsim.errors import ScenarioError
from asyncsim.exercises.checkers import NumberChecker
from asyncsim.exercises.feedback import Mark
from asyncsim.exercises.gradebook import Exercise, Gradebook, chapters, unanswered

ADD = Exercise("99 add", "1 + 1?", NumberChecker(lambda: 2.0, "Two."), ("look", "count", "1, 2"))


@pytest.mark.parametrize("answer", [..., None, [1, ...], (..., "callback"), [[...]], [None]])
def test_dots_and_none_are_not_an_answer(answer):
    """Also within a list; the feedback is the question."""
    verdict = ADD.judge(answer)
    assert verdict.mark is Mark.OPEN
    assert "1 + 1?" in verdict.findings[0].text


@pytest.mark.parametrize("answer", [0, [], "...", "None", np.arange(3), {"a": 1}])
def test_anything_else_is_an_answer(answer):
    """Even an unreadable one."""
    assert not unanswered(answer)
    assert ADD.judge(answer).mark is not Mark.OPEN


@pytest.fixture
def gradebook():
    double = Exercise("99 double", "2 x 2?", NumberChecker(lambda: 4.0, "Four."), ("add", "twice"))
    return Gradebook({"99_sums": (ADD, double)})


def test_each_wrong_answer_shows_one_more_hint(gradebook):
    """Up to three; after the last one the feedback names the solution."""
    hints = [gradebook.check("99 add", 7).hints for _ in range(4)]
    assert [len(shown) for shown in hints] == [1, 2, 3, 3]
    assert hints[2] == ("look", "count", "1, 2")
    assert "notebooks/solutions/99_sums.ipynb" in repr(gradebook.check("99 add", 7))
    assert len(gradebook.check("99 double", 7).hints) == 1  # each exercise has its own hints


@pytest.mark.parametrize("answer", [(), (...,), (None,)])
def test_without_an_answer_there_is_the_question_and_no_hint(gradebook, answer):
    """Even if all cells are run several times, or the answer is unreadable."""
    for _ in range(3):
        shown = gradebook.check("99 add", *answer)
        assert (shown.verdict.mark, shown.hints) == (Mark.OPEN, ())
        assert "1 + 1?" in repr(shown)
        assert "Hint" not in repr(shown) + shown._repr_html_()
    assert gradebook.check("99 add", "two").hints == ()
    assert gradebook.check("99 add", 3).hints == ("look",)
    assert gradebook.check("99 add", *answer).hints == ("look",)  # earned by the wrong answer


def test_a_hint_without_an_answer(gradebook):
    """It continues after the hints so far, and keeps the latest verdict."""
    assert gradebook.hint("99 add").hints == ("look",)
    assert gradebook.check("99 add", 3).hints == ("look", "count")
    hinted = gradebook.hint("99 add")
    assert hinted.hints == ("look", "count", "1, 2")
    assert hinted.verdict.mark is Mark.NOT_YET
    assert hinted.more == 0


def test_the_latest_feedback_is_kept(gradebook):
    """A right answer may be followed by a wrong one; a hint does not count as an answer."""
    assert gradebook.given() == {}
    gradebook.hint("99 double")
    assert gradebook.check("99 add", 2).passed
    assert gradebook.given()["99 add"].passed
    assert gradebook.check("99 add", 2).hints == ()
    gradebook.check("99 add", 3)
    assert {name: each.passed for name, each in gradebook.given().items()} == {"99 add": False}


@pytest.mark.parametrize("name", ["99 ad", "add", "99 ADD ", "99 add"])
def test_names(gradebook, name):
    """Case and spaces do not matter; a wrong name raises with the nearest one."""
    if name.strip().lower() == "99 add":
        assert gradebook.check(name, 2).passed
    else:
        with pytest.raises(ScenarioError, match=r"name must be .* did you mean '99 add'\?"):
            gradebook.check(name, 2)


@pytest.mark.parametrize("name", ["mmmm", None, 3])
def test_unknown_names(gradebook, name):
    """If no name is near, the message refers to `exercises.all()`."""
    with pytest.raises(ScenarioError, match=r"exercises.all\(\) lists them"):
        gradebook.hint(name)


def test_all_lists_the_course():
    """One row per exercise, with its notebook."""
    table = exercises.all()
    assert list(table.columns) == ["name", "notebook", "asks"]
    assert len(table) == sum(len(group) for group in chapters().values())
    assert table["name"].is_unique
    assert (table["name"].str[:3] == table["notebook"].str[:2] + " ").all()
