"""A strategy that says nothing does nothing; one that says when to check is asked to."""

import pytest
from attrs import frozen
from fake_step import FakeStep, play

from asyncsim.errors import EngineError
from asyncsim.model.specifications import Deliveries, Grid, Intervals, StrategySpecification
from asyncsim.model.strategies import Backoff, CheckingStrategy, Strategy


@frozen
class EveryTenSeconds(CheckingStrategy):
    limit: int | None = None

    def next_check(self, step):
        return step.last_check + 10.0


def test_a_plain_strategy_waits_and_notifies_nobody():
    """Leaving wait and notify out means that nothing happens, and nothing is promised."""
    strategy = Strategy()
    assert strategy.wait(FakeStep()) is None
    assert strategy.notify(FakeStep()) is None
    assert strategy.expected(5.0) is None
    assert strategy.specification is None
    assert not strategy.polls
    assert not strategy.notifies
    assert str(strategy) == "Strategy"


def test_next_check_must_be_given():
    """A checking strategy with neither next_check nor a schedule is refused by its name."""

    class Undecided(CheckingStrategy):
        pass

    message = "^Undecided must define next_check, or a specification with a schedule$"
    with pytest.raises(EngineError, match=message):
        play(Undecided().wait(FakeStep()))


def test_checks_go_on_until_the_work_is_complete():
    """Complete at 25: wasted checks at 10 and 20, the last at 30."""
    step = FakeStep(complete=25.0)
    play(EveryTenSeconds().wait(step))
    assert step.acts == [("check", 10.0), ("check", 20.0), ("check", 30.0)]


def test_a_check_at_the_very_instant_of_completion_sees_it():
    """Complete at 20: the check at 20 is the last one."""
    step = FakeStep(complete=20.0)
    play(EveryTenSeconds().wait(step))
    assert step.checks == 2


def test_giving_up_after_the_limit():
    """With a limit of 2 there are two checks, then it gives up; the second may still succeed."""
    step = FakeStep(complete=25.0)
    play(EveryTenSeconds(limit=2).wait(step))
    assert step.acts == [("check", 10.0), ("check", 20.0), ("give up", 20.0)]
    step = FakeStep(complete=15.0)
    play(EveryTenSeconds(limit=2).wait(step))
    assert step.acts == [("check", 10.0), ("check", 20.0)]


@pytest.mark.parametrize("schedule", [Grid(10), Intervals(10, 1), Grid(10, jitter=1e-9)])
def test_skipped_checks_are_counted(schedule):
    """Before 30 lie the checks at 10 and 20; the one at 30 is not before it."""
    step = FakeStep()
    schedule.skip(step, 30.0)
    assert step.checks == 2
    assert step.last_check == pytest.approx(20.0)


def test_the_limit_of_a_schedule_holds_without_a_field_of_that_name():
    """A strategy that only has a specification gives up as the specification says."""

    class Twice(CheckingStrategy):
        specification = StrategySpecification(Grid(10, limit=2))

    step = FakeStep(complete=25.0)
    play(Twice().wait(step))
    assert step.acts == [("check", 10.0), ("check", 20.0), ("give up", 20.0)]
    assert Backoff(limit=3).limit == Backoff(limit=3).schedule.limit == 3


def test_a_schedule_of_its_own_needs_none_in_the_specification():
    """With next_check, a specification of deliveries only neither limits nor schedules checks."""

    class Called(CheckingStrategy):
        specification = StrategySpecification(deliveries=Deliveries())
        next_check = EveryTenSeconds.next_check

    step = FakeStep(complete=15.0)
    play(Called().wait(step))
    assert step.acts == [("check", 10.0), ("check", 20.0)]
