"""A process is a tree of uniquely named elements; its steps are numbered as they are written."""

import math
from functools import reduce
from operator import add

import pytest

from asyncsim.errors import ScenarioError
from asyncsim.model.distributions import Fixed, exponential
from asyncsim.model.process import (
    AsyncStep,
    Branch,
    Choice,
    Parallel,
    Process,
    Response,
    Step,
)


def a_tree(**changes):
    """Make a process with one element in every place where one can be."""
    return Process(
        "tree",
        [
            Step("first"),
            AsyncStep(
                "wait",
                "ledger",
                on_done=[Step("done")],
                on_rejected=[AsyncStep("again", "ledger")],
                on_timeout=[Step("late")],
            ),
            Choice("which", [(0.25, [Step("left")]), (0.75, [])]),
            Parallel("both", [[Step("here")], [AsyncStep("there", "ledger"), Step("then")]]),
            Step("last"),
        ],
        **changes,
    )


WRITTEN = "first wait done again late which left both here there then last".split()  # noqa: SIM905


def test_parts_come_in_the_order_they_are_written():
    """Every element is found, those inside others right after these."""
    assert [part.name for part in a_tree().parts()] == WRITTEN


def test_elements_are_found_by_kind():
    """of_type gives the elements of one kind, wherever they are."""
    process = a_tree()
    assert [step.name for step in process.of_type(AsyncStep)] == ["wait", "again", "there"]
    assert [part.name for part in process.of_type(Choice)] == ["which"]
    assert "wait" not in [step.name for step in process.of_type(Step)]


def test_activations_number_the_steps_only():
    """Choices and branches have no activation; steps are numbered from 1 without gaps."""
    found = a_tree().activations
    steps = [name for name in WRITTEN if name not in ("which", "both")]
    assert found == {name: number for number, name in enumerate(steps, 1)}


def test_the_second_step_of_the_sample_row_is_31():
    """With first_activation=30 the second step of instance 5 waits as 5_31."""
    process = Process("p", [Step("call"), AsyncStep("wait", "ledger")], first_activation=30)
    assert process.activations == {"call": 30, "wait": 31}


@pytest.mark.parametrize(
    "steps",
    [
        [Step("a"), Step("a")],
        [Step("a"), AsyncStep("b", "s", on_timeout=[Step("a")])],
        [Choice("a", [(0.5, [Step("a")]), (0.5, [])])],
        [Parallel("p", [[Step("a")], [Step("a")]])],
    ],
)
def test_names_are_unique_everywhere(steps):
    """The same name in two places is refused, however deep it is hidden."""
    with pytest.raises(ScenarioError, match=r"Process.steps must have unique names, got 'a' twice"):
        Process("p", steps)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Process("p", []), "Process.steps must hold at least one step, got []"),
        (lambda: Process("p", Step("a")), "Process.steps must be a list of steps"),
        (lambda: Process("p", ["a"]), "Process.steps must be a list of steps"),
        (lambda: Process("", [Step("a")]), "Process.name must be a non-empty text"),
        (
            lambda: Process("p", [Step("a")], first_activation=0),
            "Process.first_activation must be a whole number, 1 or more, got 0",
        ),
        (lambda: Step(" "), "Step.name must be a non-empty text"),
        (lambda: AsyncStep("a", None), "AsyncStep.system must be a non-empty text"),
        (lambda: AsyncStep("a", "s", timeout=0), "AsyncStep.timeout must be positive, got 0"),
        (lambda: AsyncStep("a", "s", arm="after"), "AsyncStep.arm must be one of 'after call'"),
        (lambda: AsyncStep("a", "s", arm_delay=-1), "AsyncStep.arm_delay must not be negative"),
        (
            lambda: AsyncStep("a", "s", arm="before call", arm_delay=1),
            "AsyncStep.arm_delay must be 0 with arm='before call', got 1.0",
        ),
        (lambda: AsyncStep("a", "s", on_done=5), "AsyncStep.on_done must be 'fail', 'continue' or"),
        (lambda: AsyncStep("a", "s", on_done=["x"]), "AsyncStep.on_done must be 'fail'"),
        (lambda: AsyncStep("a", "s", response=1), "AsyncStep.response must be a Response"),
        (lambda: AsyncStep("a", "s", response={"ok": 1}), "AsyncStep.response must be a Response"),
        (lambda: Choice("c", [(1.0, [])]), "Choice.branches must be a list of two or more"),
        (lambda: Choice("c", [1, 2]), "Choice.branches must be pairs of a probability"),
        (
            lambda: Choice("c", [(0.5, []), (0.4, [])]),
            "Choice 'c' must have probabilities that add up to 1: 0.5 + 0.4 = 0.9",
        ),
        (lambda: Choice("c", [(1.5, []), (0, [])]), "Branch.probability must be a probability"),
        (lambda: Parallel("p", [[Step("a")]]), "Parallel.branches must be a list of two or more"),
        (lambda: Parallel("p", [[Step("a")], []]), "Parallel.branches must hold at least one step"),
        (lambda: Parallel("p", [[Step("a")], [5]]), "Parallel.branches must be a list of steps"),
        (lambda: Response(accepted=1.1), "Response.accepted must be a probability"),
        (
            lambda: Response(accepted=0.5),
            "Response must have probabilities that add up to 1: 0.5 + 0 + 0 = 0.5",
        ),
        (lambda: Response(done=True), "Response.done must be a probability"),
    ],
)
def test_what_cannot_be_is_refused_by_name(make, message):
    """The refusal begins with the class and the argument."""
    with pytest.raises(ScenarioError) as caught:
        make()
    assert str(caught.value).startswith(message)


def test_rounding_does_not_make_probabilities_wrong():
    """Ten tenths add up to one, although their floats do not."""
    assert reduce(add, [0.1] * 10) != 1.0  # sum() makes up for it since Python 3.12
    assert len(Choice("c", [(0.1, [])] * 10).branches) == 10
    assert Response(accepted=0.7, done=0.2, rejected=0.1).accepted == 0.7


def test_a_response_may_be_a_mapping():
    """In a mapping what is left out is zero, `accepted` too."""
    step = AsyncStep("a", "s", response={"done": 0.4, "rejected": 0.6})
    assert step.response == Response(accepted=0.0, done=0.4, rejected=0.6)


def test_what_is_left_out_has_its_default():
    """A plain asynchronous step is accepted, waits for ever, and fails when rejected."""
    step = AsyncStep("a", "s")
    assert step.call_work == Fixed(0.0)
    assert step.response == Response(1.0, 0.0, 0.0)
    assert (step.arm, step.arm_delay, step.timeout) == ("after call", 0.0, None)
    assert (step.on_done, step.on_rejected, step.on_timeout) == ("continue", "fail", "fail")
    assert Step("a").work == Fixed(0.0)


def test_lists_become_tuples():
    """What was a list when it was given cannot be changed afterwards."""
    steps = [Step("a", work=exponential(1))]
    process = Process("p", steps)
    steps.append(Step("b"))
    assert process.steps == (Step("a", work=exponential(1)),)
    assert Choice("c", [[0.5, steps], Branch(0.5)]).branches[0] == Branch(0.5, tuple(steps))


def test_activation_numbers_have_an_end():
    """The number is part of the order of events; one too large for it is refused, not cut off."""
    steps = [Step("a"), Step("b")]
    assert Process("p", steps, first_activation=65_534).activations == {"a": 65534, "b": 65535}
    with pytest.raises(ScenarioError, match=r"first_activation must leave .* 65535 at most, got"):
        Process("p", steps, first_activation=65_535)


def test_conditions_hold_what_a_file_can():
    """Neither NaN, which equals nothing, nor a number of more than 64 bits."""
    for wrong in (math.nan, math.inf, 2**63, 10**5000, "\ud800"):
        with pytest.raises(ScenarioError, match=r"Branch.when must"):
            Branch(0.5, when={"x": wrong})
    assert Branch(0.5, when={"x": [2**62, True, 0.5]}).when == {"x": (2**62, True, 0.5)}


def test_steps_that_hold_each_other_many_times_over_are_refused_at_once():
    """Fifty levels of the same two are a million billion steps."""
    inner = [Step("a")]
    for k in range(50):
        inner = [Choice(f"c{k}", [(0.5, inner), (0.5, inner)])]
    with pytest.raises(ScenarioError, match="must hold 65,535 elements at most"):
        Process("p", inner)
