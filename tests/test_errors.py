"""The tree of exceptions is the one its docstring draws."""

import re

from asyncsim import errors


def test_the_tree_is_as_drawn():
    """Every name in the drawing is a class below the one it hangs from, and none is missing."""
    drawn = re.findall(r"^( *[│├└─ ]*)(\w+)", errors.__doc__.split("::")[1], re.MULTILINE)
    above: dict[int, str] = {}
    for indent, name in drawn:
        depth = (len(indent) - 4) // 4
        above[depth] = name
        cls = getattr(errors, name)
        if depth:
            assert issubclass(cls, getattr(errors, above[depth - 1]))
        elif name.endswith("Warning"):
            assert issubclass(cls, UserWarning)
    assert sorted(name for _, name in drawn) == sorted(errors.__all__)


def test_refused_finishes_are_one_family():
    """Whoever catches SerialNumberError catches every refused finish, and LookupError does too."""
    for name in ("UnknownSerialNumber", "AlreadyFinished", "NotArmedYet", "WaitExpired"):
        assert issubclass(getattr(errors, name), errors.SerialNumberError)
    assert issubclass(errors.SerialNumberError, LookupError)
    assert issubclass(errors.EngineError, RuntimeError)
