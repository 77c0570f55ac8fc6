"""Hints about what Python lacks in a browser appear there only."""

import sys

from asyncsim import platform as host


def test_a_browser_is_known_by_the_name_of_its_platform(monkeypatch):
    """Pyodide calls it emscripten."""
    assert not host.in_browser()
    assert host.database_hint() == ""
    monkeypatch.setattr(sys, "platform", "emscripten")
    assert host.in_browser()
    assert "/tmp/" in host.database_hint()
