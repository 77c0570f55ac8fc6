"""A strategy that says nothing does nothing; one that says when to check is asked to."""

import pytest
from attrs import frozen
from fake_step import FakeStep, play

from asyncsim.model.strategies import Callback, LongPolling, Polling
from asyncsim.model.strategy_base import CheckingStrategy, Strategy


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
    assert strategy.schedule is None
    assert str(strategy) == "Strategy"


def test_next_check_must_be_given():
    """A checking strategy without a schedule cannot be made."""
    with pytest.raises(TypeError):
        CheckingStrategy()


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


def test_skipped_checks_are_counted():
    """Before 30 lie the checks at 10 and 20; the one at 30 is not before it."""
    step = FakeStep()
    EveryTenSeconds().skip_checks(step, 30.0)
    assert (step.checks, step.last_check) == (2, 20.0)


def test_only_plain_checking_has_a_schedule():
    """A subclass that waits in a way of its own does more than follow a schedule."""

    class Talkative(EveryTenSeconds):
        def wait(self, step):
            yield from super().wait(step)

    assert EveryTenSeconds().schedule == EveryTenSeconds()
    assert Talkative().schedule is None
    assert Polling("1min").schedule == Polling("1min")
    assert Callback().schedule is None
    assert LongPolling().schedule is None
