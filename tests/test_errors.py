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
    public = (name for name in sim.__all__ if isinstance(getattr(sim, name), type))
    known = [name for name in public if issubclass(getattr(sim, name), Exception)]
    assert sorted(name for _, name in drawn) == known


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


class Hasty(sim.Strategy):
    """Makes a mistake while it is played, where SimPy raises a copy of its error."""

    def wait(self, step):
        """Wait for a time that is none."""
        yield step.after(1.0)
        sim.Polling("-1s")


def one_long_line():
    """Make a mistake in a call of several lines."""
    sim.Scenario(
        name="a",
        process=sim.Process("p", [sim.AsyncStep("post", "ledgr")]),
        systems={"ledger": sim.OnlineService("1s")},
        arrivals=sim.Regular("1min"),
    )


@pytest.mark.parametrize(
    ("act", "line", "message"),
    [
        (lambda: sim.Polling("-5min"), 'sim.Polling("-5min")', "interval must be positive"),
        (one_long_line, "sim.Scenario(", "did you mean 'ledger'?"),
        (
            lambda: sim.simulate(sim.Scenario.load("data/nightly_ledger.toml"), Hasty()),
            'sim.Polling("-1s")',
            "got '-1s'",
        ),
        (
            lambda: sim.live(sim.Scenario.load("data/nightly_ledger.toml")).finish("5_31"),
            '.finish("5_31")',
            "UnknownSerialNumber: serial number '5_31' is not known",
        ),
    ],
)
def test_a_notebook_shows_the_line_of_the_user_and_the_message(act, line, message):
    """Not one line of the package, of attrs or of SimPy."""
    with pytest.raises(errors.AsyncsimError) as caught:
        act()
    shown = caught.value._render_traceback_()
    assert shown[0].startswith(f"File {__file__}, line ")
    assert shown[1].startswith("---->")
    assert line in shown[1]
    assert message in shown[-1]
    assert len(shown) <= 8
    assert "asyncsim/" not in "\n".join(shown[1:])


def test_a_message_of_several_lines_and_notes_are_shown_in_full(tmp_path):
    """Every mistake of a file is on a line of its own."""
    path = tmp_path / "two.toml"
    path.write_text("name = 3\nlenght = 4\n")
    with pytest.raises(sim.ScenarioError) as caught:
        sim.Scenario.load(path)
    caught.value.add_note("while reading the second file")
    shown = caught.value._render_traceback_()
    assert [one for one in shown if "line 2: Scenario has no key 'lenght'" in one]
    assert shown[-1] == "while reading the second file"


def test_an_error_that_was_never_raised_still_shows_its_message():
    """IPython asks whatever error it is given."""
    assert sim.ScenarioError("wrong")._render_traceback_() == ["ScenarioError: wrong"]


def test_errors_of_the_package_itself_keep_their_whole_traceback():
    """An invariant that does not hold is no mistake of the user."""
    assert not hasattr(sim.EngineError("x"), "_render_traceback_")
