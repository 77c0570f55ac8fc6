"""Texts: names, descriptions and lists of them."""

import pytest

from asyncsim.model.units import InvalidValue, any_text, text, texts


def test_texts():
    """A name is not blank; a description may be; a list of texts is one."""
    assert text("a") == "a"
    assert any_text("") == ""
    assert texts(["a", "b"]) == ("a", "b")
    for wrong in ("", "  ", 5):
        with pytest.raises(InvalidValue, match="must be a non-empty text"):
            text(wrong)
    for wrong in ("ab", [""], [1], None):
        with pytest.raises(InvalidValue, match="must be a list of non-empty texts"):
            texts(wrong)


def test_half_a_character_is_no_text():
    """It could be neither saved nor sent."""
    for read, value in ((text, "a\ud800"), (any_text, "\udfff"), (texts, ["a", "\ud800"])):
        with pytest.raises(InvalidValue, match="must be a text that UTF-8 can hold"):
            read(value)


def test_a_name_is_no_book():
    """It stands in tables and messages."""
    assert text("a" * 1000) == "a" * 1000
    with pytest.raises(InvalidValue, match="must have 1,000 characters at most"):
        text("a" * 1001)
