"""The tree of exceptions is the one its docstring draws."""

import re

import pytest

import asyncsim as sim
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
    """SerialNumberError covers every refused finish, and so does LookupError."""
    for name in ("UnknownSerialNumber", "AlreadyFinished", "NotArmedYet", "WaitExpired"):
        assert issubclass(getattr(errors, name), errors.SerialNumberError)
    assert issubclass(errors.SerialNumberError, LookupError)
    assert issubclass(errors.EngineError, RuntimeError)


def test_a_warning_names_the_line_of_whoever_called(tmp_path):
    """However deep in the package it arises."""
    log = tmp_path / "log.csv"
    log.write_text("SN,submitted,completed\n5_31,2026-03-02 09:00,2026-03-02 10:00\n6_31,soon,\n")
    scenario = sim.Scenario.load("data/nightly_ledger.toml")
    strategy = sim.Callback(loss=1.0)
    for act in (
        lambda: sim.fit(log),
        lambda: scenario.with_log(log),
        lambda: sim.RequestLog.read(log),
        lambda: sim.simulate(scenario, strategy),
        lambda: sim.compare(scenario, [strategy], replications=2, progress=False),
        lambda: sim.sweep(scenario, {"server.workers": [1]}, [strategy], progress=False),
    ):
        with pytest.warns() as caught:
            act()
        assert {one.filename for one in caught} == {__file__}
