"""The examples that come with the package are found by name, wherever a file is read."""

import subprocess
from pathlib import Path

import pytest

import asyncsim as sim
from asyncsim.model import examples
from asyncsim.model.examples import LOG, SCENARIO, example_files, readable_file

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", ["nightly_ledger", "nightly_ledger.toml"])
def test_an_example_is_loaded_by_its_name(name, tmp_path, monkeypatch):
    """With or without its ending, from any folder; it is the file in data/."""
    monkeypatch.chdir(tmp_path)
    found = sim.Scenario.load(f"example:{name}")
    assert found == sim.Scenario.load(ROOT / "data" / "nightly_ledger.toml")
    assert sim.Scenario.load(Path(f"example:{name}")) == found


@pytest.mark.filterwarnings("ignore::asyncsim.LogWarning")  # the log is dirty on purpose
def test_an_example_log_is_read_by_its_name(tmp_path, monkeypatch):
    """As a log to replay, and as one to fit a scenario to."""
    monkeypatch.chdir(tmp_path)
    replayed = sim.Scenario.load("example:nightly_ledger").with_log("example:request_log")
    assert len(replayed.arrivals.times) > 3000
    assert sim.fit("example:request_log").scenario.systems


@pytest.mark.parametrize(
    ("path", "ending", "message"),
    [
        ("example:nightly_leger", SCENARIO, r"'example:nightly_leger'; did you mean 'nightly_ledg"),
        ("example:zzz", SCENARIO, r"scenario \(agent_approval, .*, workshop\), got"),
        ("example:", SCENARIO, r"example scenario \(agent_approval"),
        ("example:request_log", SCENARIO, "example scenario"),
        ("example:person", LOG, r"example log \(request_log\), got 'example:person'"),
        ("example:../data/person", SCENARIO, "example scenario"),
    ],
)
def test_an_unknown_example_lists_those_there_are(path, ending, message):
    """And names the nearest."""
    with pytest.raises(sim.ScenarioError, match=message):
        readable_file(path, ending)


@pytest.mark.parametrize(
    "path", ["person", "person.toml", "data/person.toml", "Example:person", "example/person.toml"]
)
def test_a_file_that_is_not_there_may_mean_an_example(path, tmp_path, monkeypatch):
    """The message has the name of the example, of a scenario or a log, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(sim.ScenarioError, match=r"; did you mean 'example:person'\?$"):
        sim.Scenario.load(path)
    with pytest.raises(sim.ScenarioError, match=r"; did you mean 'example:request_log'\?$"):
        sim.fit(path.replace("person", "request_log").replace(".toml", ".csv"))
    with pytest.raises(sim.ScenarioError, match=r"directory in [^;]*\)$"):
        sim.Scenario.load(path.replace("person", "mine"))


def test_examples_are_what_the_repository_tracks():
    """All of data/ and notebooks/, and nothing that lies beside them."""
    done = subprocess.run(
        ["git", "ls-files", "data", "notebooks"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        pytest.skip("no git here, or no repository")
    assert {path.as_posix() for path in example_files()} == set(done.stdout.split())


def test_a_wheels_own_examples_come_first(tmp_path, monkeypatch):
    """Where the package has a folder of examples, it is taken."""
    (tmp_path / "examples" / "data").mkdir(parents=True)
    (tmp_path / "examples" / "data" / "mine.toml").write_text("")
    monkeypatch.setattr(examples, "files", lambda package: tmp_path)
    assert example_files() == [Path("data/mine.toml")]
