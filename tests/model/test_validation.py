"""An error names the argument, the value and the remedy."""

import attrs
import numpy as np
import pytest

from asyncsim.errors import AsyncsimError, ScenarioError
from asyncsim.model.arrivals import Poisson
from asyncsim.model.examples import file_read_error
from asyncsim.model.process import AsyncStep, Step
from asyncsim.model.server import WorkflowServer
from asyncsim.model.strategies import Backoff, Callback, CallbackWithSafetyPoll, Polling
from asyncsim.model.validation import name_errors, scenario_error


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Polling("-5min"), "Polling.interval must be positive, got '-5min'"),
        (lambda: Polling(0), "Polling.interval must be positive, got 0"),
        (
            lambda: Polling("1min", "clok"),
            "Polling.anchor must be one of 'arming', 'clock', 'random', got 'clok'; "
            "did you mean 'clock'?",
        ),
        (
            lambda: Callback(loss=1.5),
            "Callback.loss must be a probability from 0 to 1, got 1.5; write 0.015 for 1.5 %",
        ),
        (
            lambda: CallbackWithSafetyPoll(loss=-1),
            "CallbackWithSafetyPoll.loss must be a probability from 0 to 1, got -1",
        ),
        (lambda: Backoff(factor=0.5), "Backoff.factor must be 1 or more, got 0.5"),
        (
            lambda: WorkflowServer(workers=True),
            "WorkflowServer.workers must be a whole number, 1 or more, got True",
        ),
        (lambda: Step("a", work=-1), "Step.work must not be negative, got -1"),
        (
            lambda: AsyncStep("a", "b", on_done="fial"),
            "AsyncStep.on_done must be 'fail', 'continue' or a list of steps, got 'fial'; "
            "did you mean 'fail'?",
        ),
        (
            lambda: Poisson("300"),
            "Poisson.rate must be a rate such as '300/h' or '10000/day', got '300'; "
            "did you mean '300/day', '300/h' or '300/s'?",
        ),
    ],
)
def test_the_sentence_is_complete(make, message):
    """The message is: class and argument, what would be right, what was given."""
    with pytest.raises(ScenarioError) as caught:
        make()
    assert str(caught.value) == message


def test_errors_are_caught_as_one_family():
    """A ScenarioError is an AsyncsimError, and a ValueError for those who know only Python."""
    assert issubclass(ScenarioError, AsyncsimError)
    assert issubclass(ScenarioError, ValueError)


def test_a_long_value_is_cut():
    """A value of a thousand characters does not fill the screen."""
    assert len(str(scenario_error("A.b", "must be short", "x" * 1000))) < 120


def test_described_objects_are_frozen():
    """What has been checked cannot be changed afterwards."""
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        Polling("1min").interval = -5


def test_a_converter_without_refusal_passes():
    """NumPy scalars become plain Python numbers on their way in."""
    assert type(Polling(np.int64(60)).interval) is float
    assert type(WorkflowServer(workers=np.int64(2)).workers) is int


def test_a_subclass_names_itself():
    """An inherited argument is named with the class that was made."""

    @attrs.frozen(field_transformer=name_errors)
    class Mine(Polling):
        extra: int = 1

    with pytest.raises(ScenarioError, match=r"^Mine\.interval must be positive, got 0$"):
        Mine(0)


@pytest.mark.parametrize(
    ("given", "there", "meant"),
    [
        ("data/log.csv", "data/log.csv", "'../data/log.csv'"),
        ("log.csv", "data/log.csv", "'../data/log.csv'"),
        ("log.csv", "notebooks/data/log.csv", "'data/log.csv'"),
        ("other.csv", "data/log.csv", None),
    ],
)
def test_a_file_that_is_not_there_may_lie_near(tmp_path, monkeypatch, given, there, meant):
    """A notebook in notebooks/ has another working directory than a terminal beside README."""
    for folder in ("notebooks/data", "data"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / there).touch()
    monkeypatch.chdir(tmp_path / "notebooks")
    said = str(file_read_error(given, FileNotFoundError(2, "No such file or directory")))
    assert said.startswith(f"{given}: cannot be read (No such file or directory in ")
    assert str(tmp_path / "notebooks") in said
    assert said.endswith(f"did you mean {meant}?" if meant else ")")


def test_a_full_path_is_looked_for_in_one_place_only(tmp_path):
    """And what is there but cannot be read lies nowhere else."""
    said = str(file_read_error(tmp_path / "x", FileNotFoundError(2, "No such file or directory")))
    assert said == f"{tmp_path / 'x'}: cannot be read (No such file or directory)"
    assert str(file_read_error("x", IsADirectoryError(21, "Is a directory"))).endswith(
        "(Is a directory)"
    )


def test_a_value_that_cannot_be_shown_is_named_by_its_type():
    """A number of 5,000 digits, a list in itself a thousand times: the message is a sentence."""
    deep = []
    for _ in range(100_000):
        deep = [deep]
    assert str(scenario_error("x", "must be y", 10**5000)) == "x must be y, got a value of type int"
    assert str(scenario_error("x", "must be y", deep)) == "x must be y, got a value of type list"
