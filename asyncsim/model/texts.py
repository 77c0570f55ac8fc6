"""Reading texts: names, descriptions and lists of them."""

from __future__ import annotations

from collections.abc import Iterable

from asyncsim.model.quantities import LONGEST_WORDS, Refused


def text(value: str) -> str:
    """Return a non-empty text of one name's length."""
    if not (isinstance(value, str) and value.strip()):
        raise Refused("must be a non-empty text")
    if len(value) > LONGEST_WORDS:
        raise Refused(f"must have {LONGEST_WORDS:,} characters at most")
    return any_text(value)


def any_text(value: str) -> str:
    """Return a text, which may be empty."""
    if not isinstance(value, str):
        raise Refused("must be a text")
    try:
        value.encode()
    except UnicodeEncodeError:  # half a character, as "\ud800", which no file can hold
        raise Refused("must be a text that UTF-8 can hold") from None
    return value


def texts(value: Iterable[str]) -> tuple[str, ...]:
    """Return a sequence of non-empty texts as a tuple."""
    if isinstance(value, (list, tuple)) and all(isinstance(part, str) and part for part in value):
        return tuple(any_text(part) for part in value)
    raise Refused("must be a list of non-empty texts")
