"""Feedback for a participant, as text and as HTML."""

from asyncsim.exercises.feedback import Feedback, Judgement, Mark, Remark, unreadable, verdict


def test_one_bad_finding_is_enough():
    """RIGHT needs every finding to be good; only then there is a concluding sentence."""
    good, bad = Remark(True, "prompt"), Remark(False, "expensive: too many checks")
    assert verdict([good], "Well.").mark is Mark.RIGHT
    assert verdict([good], "Well.").findings[-1].text == "Well."
    assert verdict([good, bad], "Well.") == Judgement(Mark.NOT_YET, (good, bad))


def test_text_has_findings_hints_and_their_number_left():
    """In this order."""
    found = verdict([Remark(True, "asks twice"), Remark(False, "is late by an hour")])
    shown = repr(Feedback("02 x", found, ("look", "think"), 1, "notebooks/solutions/02.ipynb"))
    assert shown.splitlines() == [
        "02 x: not yet",
        "  ✓ asks twice",
        "  ✗ is late by an hour",
        "  Hint 1: look",
        "  Hint 2: think",
        "  1 more hint: try again.",
    ]
    last = repr(Feedback("02 x", found, ("look",), 0, "notebooks/solutions/02.ipynb"))
    assert last.endswith("That was the last hint. The solution is in notebooks/solutions/02.ipynb.")


def test_html_escapes_what_a_participant_wrote():
    """An answer is shown as text, a word in backticks as code."""
    html = Feedback("02 x", unreadable("a number", "<b>"), ("try `simulate`",), 2)._repr_html_()
    assert "&lt;b&gt;" in html
    assert "<b>" not in html.replace("<b>02 x</b>", "")
    assert "<code>simulate</code>" in html
    assert "cannot be read" in html


def test_a_long_answer_is_cut():
    """A table as answer does not fill the page."""
    assert len(unreadable("a number", "x" * 1000).findings[0].text) < 150


def test_a_right_answer_gets_no_hint():
    """No further hint is offered."""
    passed = Feedback("02 x", verdict([Remark(True, "yes")]), (), 3)
    assert passed.passed
    assert "hint" not in repr(passed)
