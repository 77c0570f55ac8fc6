"""The numbers of the kernels have the names that they have where they were taken from."""

import inspect

import pytest

from asyncsim.engine.environment import EventKind, Job, order
from asyncsim.engine.result import DELIVERY_OUTCOMES, Outcome, StepOutcome, WaitOutcome
from asyncsim.engine.waits import Answer
from asyncsim.fast import jit, state
from asyncsim.fast.state import KIND_SHIFT, ROW_SHIFT

INSTANCES = {
    "RUNNING": "RUNNING",
    "DONE": "IS_DONE",
    "FAILED": "HAS_FAILED",
    "TIMED_OUT": "IS_LATE",
}
STEPS = {
    "OPEN": "OPEN",
    "RESUMED": "RESUMED",
    "DONE": "AT_ONCE",
    "REJECTED": "REJECTED",
    "TIMED_OUT": "STEP_TIMED_OUT",
    "GAVE_UP": "STEP_GAVE_UP",
    "CANCELLED": "STEP_CANCELLED",
}
WAITS = {
    "WAITING": "ARMED",
    "RESUMED": "FINISHED",
    "TIMED_OUT": "TIMED_OUT",
    "GAVE_UP": "GAVE_UP",
    "CANCELLED": "CANCELLED",
}


@pytest.mark.parametrize(
    ("numbers", "names", "first"),
    [
        (EventKind, {kind.name: kind.name for kind in EventKind}, 0),
        (Job, {job.name: f"J_{job.name}" for job in Job}, 0),
        (Outcome, INSTANCES, 0),
        (StepOutcome, STEPS, 0),
        (WaitOutcome, WAITS, state.ARMED),
    ],
)
def test_every_name_has_its_own_number(numbers, names, first):
    """Two that changed places in an enumeration would be taken for each other in a kernel."""
    assert {one.name for one in numbers} == names.keys()
    for one in numbers:
        assert getattr(state, names[one.name]) == first + one, one


def test_every_answer_to_a_delivery_has_its_own_number():
    """The codes of deliveries are places in the tuple of their words."""
    names = {answer.text: answer.name for answer in Answer}
    names |= {"lost": "LOST", "dead letter": "DEAD", "rate limited": "LIMITED"}
    names |= {"endpoint down": "DOWN", "switched off": "OFF"}
    codes = {text: getattr(state, f"A_{name}") for text, name in names.items()}
    assert codes == {text: code for code, text in enumerate(DELIVERY_OUTCOMES)}


def test_a_kernel_orders_events_as_the_clock_does():
    """One layout of the key that says what comes first at an instant."""
    key = (state.TIMEOUT << KIND_SHIFT) | (7 << ROW_SHIFT) | 3
    assert key == order(EventKind.TIMEOUT, row=7, step=3)


def test_the_constants_of_kernels_are_plain_numbers():
    """Numba makes constants of them, and without it they are as quick as numbers are."""
    codes = {name: value for name, value in vars(state).items() if name.isupper()}
    tables = {name for name, value in codes.items() if isinstance(value, tuple | list | dict)}
    assert {type(codes[name]) for name in codes.keys() - tables - {"TYPE_CHECKING"}} == {int}


def test_machine_code_is_known_by_all_that_its_numbers_come_from():
    """A module whose enumerations the kernels take over is part of the name of their cache."""
    taken = {value.__module__ for value in vars(state).values() if inspect.isclass(value)}
    shared = {module.__name__ for module in jit.SHARED}
    assert {name for name in taken if name.startswith("asyncsim")} - {state.__name__} <= shared
