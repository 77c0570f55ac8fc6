"""Handing in: names, the ladder of hints, and what was given."""

import pytest

from asyncsim import exercises
from asyncsim.errors import ScenarioError
from asyncsim.exercises.checkers import NumberChecker
from asyncsim.exercises.feedback import Mark
from asyncsim.exercises.gradebook import Exercise, Gradebook, chapters


@pytest.fixture
def desk():
    add = Exercise(
        "99 add", "1 + 1?", NumberChecker(lambda: 2.0, "Two."), ("look", "count", "1, 2")
    )
    double = Exercise("99 double", "2 x 2?", NumberChecker(lambda: 4.0, "Four."), ("add", "twice"))
    return Gradebook({"99_sums": (add, double)})


def test_each_further_try_shows_one_more_hint(desk):
    """One, two, three, and then no more; the last one says where the solution is."""
    hints = [desk.check("99 add", 7).hints for _ in range(4)]
    assert [len(shown) for shown in hints] == [1, 2, 3, 3]
    assert hints[2] == ("look", "count", "1, 2")
    assert "notebooks/solutions/99_sums.ipynb" in repr(desk.check("99 add", 7))
    assert len(desk.check("99 double", 7).hints) == 1  # each exercise has a ladder of its own


@pytest.mark.parametrize("answer", [(), (...,), (None,)])
def test_before_the_first_answer_there_is_the_task_and_no_hint(desk, answer):
    """Also if all cells are run again and again, or what is given cannot be read."""
    for _ in range(3):
        shown = desk.check("99 add", *answer)
        assert (shown.verdict.mark, shown.hints) == (Mark.OPEN, ())
        assert "1 + 1?" in repr(shown)
        assert "Hint" not in repr(shown) + shown._repr_html_()
    assert desk.check("99 add", "two").hints == ()
    assert desk.check("99 add", 3).hints == ("look",)
    assert desk.check("99 add", *answer).hints == ("look",)  # it was earned


def test_a_hint_without_a_try(desk):
    """It goes on where the tries stopped, and keeps what the checker said last."""
    assert desk.hint("99 add").hints == ("look",)
    assert desk.check("99 add", 3).hints == ("look", "count")
    asked = desk.hint("99 add")
    assert asked.hints == ("look", "count", "1, 2")
    assert asked.verdict.mark is Mark.NOT_YET
    assert asked.more == 0


def test_what_was_given_is_the_last(desk):
    """A right answer may be spoiled again, and a hint is no answer."""
    assert desk.given() == {}
    desk.hint("99 double")
    assert desk.check("99 add", 2).passed
    assert desk.given()["99 add"].passed
    assert desk.check("99 add", 2).hints == ()
    desk.check("99 add", 3)
    assert {name: each.passed for name, each in desk.given().items()} == {"99 add": False}


@pytest.mark.parametrize("name", ["99 ad", "add", "99 ADD ", "99 add"])
def test_names(desk, name):
    """Capitals and spaces do not matter; a wrong name is answered with the nearest."""
    if name.strip().lower() == "99 add":
        assert desk.check(name, 2).passed
    else:
        with pytest.raises(ScenarioError, match=r"name must be .* did you mean '99 add'\?"):
            desk.check(name, 2)


@pytest.mark.parametrize("name", ["mmmm", None, 3])
def test_no_such_name(desk, name):
    """Where nothing is near, `exercises.all()` is named."""
    with pytest.raises(ScenarioError, match=r"exercises.all\(\) lists them"):
        desk.hint(name)


def test_all_lists_the_course():
    """One row per exercise, with the notebook it stands in."""
    table = exercises.all()
    assert list(table.columns) == ["name", "notebook", "asks"]
    assert len(table) == sum(len(group) for group in chapters().values())
    assert table["name"].is_unique
    assert (table["name"].str[:3] == table["notebook"].str[:2] + " ").all()
