"""The workflow server and its policy are checked where they are described."""

import numpy as np
import pytest

from asyncsim.errors import ScenarioError
from asyncsim.model.scenario import Scenario
from asyncsim.model.server import FinishPolicy, WorkflowServer


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: WorkflowServer(workers=0), "WorkflowServer.workers must be a whole number"),
        (lambda: WorkflowServer(workers=10**30), "WorkflowServer.workers must be 1,000,000 at"),
        (lambda: WorkflowServer(workers=2.0), "WorkflowServer.workers must be a whole number"),
        (lambda: WorkflowServer(poll_work=-1), "WorkflowServer.poll_work must not be negative"),
        (
            lambda: WorkflowServer(check_operations=-1),
            "WorkflowServer.check_operations must not be negative, got -1",
        ),
        (
            lambda: WorkflowServer(callback_operations="12"),
            "WorkflowServer.callback_operations must be a finite number, got '12'",
        ),
        (
            lambda: WorkflowServer(callback_operations=1e10),
            "WorkflowServer.callback_operations must be 1e+09 at most",
        ),
        (lambda: WorkflowServer(callback_work=True), "WorkflowServer.callback_work must be a"),
        (
            lambda: FinishPolicy(early="bufer"),
            "FinishPolicy.early must be one of 'reject', 'buffer', 'ignore', got 'bufer'; "
            "did you mean 'buffer'?",
        ),
        (lambda: FinishPolicy(duplicate="ignore"), "FinishPolicy.duplicate must be one of"),
        (lambda: FinishPolicy(late="ignore"), "FinishPolicy.late must be one of"),
        (lambda: FinishPolicy(unknown="accept"), "FinishPolicy.unknown must be one of"),
        (lambda: FinishPolicy(buffer_for=0), "FinishPolicy.buffer_for must be positive, got 0"),
    ],
)
def test_what_cannot_be_is_refused_by_name(make, message):
    """The refusal begins with the class and the argument."""
    with pytest.raises(ScenarioError) as caught:
        make()
    assert str(caught.value).startswith(message)


def test_a_server_is_strict_unless_told_otherwise():
    """By default every finish that is not the first one in time is rejected."""
    policy = WorkflowServer().policy
    assert {policy.early, policy.duplicate, policy.late, policy.unknown} == {"reject"}
    assert policy.buffer_for is None


def test_database_operations_are_numbers_and_may_be_means(tmp_path):
    """By default two each; a file keeps what is not, and whole numbers stay whole."""
    assert (WorkflowServer().check_operations, WorkflowServer().callback_operations) == (2, 2)
    server = WorkflowServer(check_operations=np.int64(0), callback_operations=np.float32(1.5))
    scenario = Scenario.load("data/person.toml").replace(server=server)
    scenario.save(tmp_path / "scenario.toml")
    found = Scenario.load(tmp_path / "scenario.toml").server
    assert found == server
    assert repr((found.check_operations, found.callback_operations)) == "(0, 1.5)"


def test_times_are_read_as_durations():
    """Worker times may be written as people write them."""
    server = WorkflowServer(poll_work="10ms", callback_work="20ms")
    assert (server.poll_work, server.callback_work) == (0.01, 0.02)
