"""Strategies and external systems as a user writes them: they run, and give what they should."""

from typing import ClassVar

import pytest
from plays import FREE, only, play, scenario_of, wait_for

import asyncsim as sim

DAY, HOUR = 86400.0, 3600.0


class AtNineAndFive(sim.Strategy):
    """Checks at 09:00 and at 17:00."""

    def wait(self, step):
        while True:
            day = step.now // DAY * DAY
            looks = [day + 9 * HOUR, day + 17 * HOUR, day + DAY + 9 * HOUR]
            yield step.until(min(look for look in looks if look > step.now))
            if (yield from step.check()):
                return


@pytest.mark.parametrize("look", [60.0, 0.0])
def test_a_strategy_of_ones_own_that_looks_twice_a_day(look):
    """Done at 10:00 and 18:00: seen at 17:00 and at 09:00 the next day; a look costs a minute."""
    run = wait_for(
        AtNineAndFive(), 2 * HOUR, arrivals=(8 * HOUR, 16 * HOUR), server={"poll_work": look}
    )
    assert run.waits.resumed.tolist() == [17 * HOUR + look, DAY + 9 * HOUR + look]
    assert run.waits.checks.tolist() == [2, 2]
    assert run.waits.strategy.tolist() == ["AtNineAndFive"] * 2


class CallbackThenPhone(sim.Callback):
    """Waits an hour for the callback; then calls every ten minutes."""

    def wait(self, step):
        yield step.after(HOUR)
        while not (yield from step.check()):
            yield step.after(600.0)

    @property
    def label(self):
        return "callback, then phone"


def test_a_strategy_of_ones_own_that_extends_a_callback():
    """Lost callbacks: done after 65 min, the phone rings at 60 and 70 min."""
    run = wait_for(CallbackThenPhone(loss=1.0), 3900.0)
    assert only(run.waits).resumed == 4200.0
    assert only(run.waits).checks == 2
    assert only(wait_for(CallbackThenPhone("1s"), 3900.0).waits).resumed == 3901.0
    assert run.summary().strategy[0] == "callback, then phone"


class TellsTwiceAndSwears(sim.Strategy):
    """A system that tells twice: by a callback after a minute, and by a second one at once."""

    def notify(self, step):
        step.deliver_copy(60.0)
        yield from step.deliver(step.duration("delay", sim.fixed(5.0)))


def test_a_strategy_of_ones_own_that_only_notifies():
    """The step resumes 5 s after completion, the other callback is a duplicate."""
    run = wait_for(TellsTwiceAndSwears(), 10.0)
    assert only(run.waits).latency == 5.0
    assert run.deliveries.outcome.tolist() == ["finished", "duplicate, rejected"]


class Silent(sim.Strategy):
    """Neither checks nor notifies."""


def test_a_strategy_that_does_nothing_waits_for_the_time_out():
    """Without wait and notify a step ends by its time-out only."""
    assert only(wait_for(Silent(), 10.0, timeout=50.0).waits).outcome == "timed out"
    assert only(wait_for(Silent(), 10.0).waits).outcome == "waiting"


class Reads(sim.Strategy):
    """Gives up at once, having looked at what a strategy can see."""

    seen: ClassVar = []

    def wait(self, step):
        self.seen.append((step.serial_number, step.armed, step.now, step.last_check, step.checks))
        step.give_up()
        yield step.after(0.0)


def test_what_a_strategy_sees_of_its_step():
    """Serial number, arming, the present, the last check and the number of checks."""
    Reads.seen.clear()
    run = wait_for(Reads(), 10.0, arrivals=(7.0,), call_work=2.0)
    assert Reads.seen == [("1_1", 9.0, 9.0, 9.0, 0)]
    assert only(run.waits).outcome == "gave up"


class Broken(sim.Strategy):
    def wait(self, step):
        yield step.until(float("nan"))


def test_a_strategy_that_waits_until_nan_is_told_so():
    """NaN is refused where it enters, before it can spoil the order of events."""
    with pytest.raises(sim.EngineError, match="finite instant, got nan"):
        wait_for(Broken(), 10.0)


class EveryOther(sim.ExternalSystem):
    """Works on two items at a time, begun together, done together after the longer of them."""

    item_time = sim.fixed(10.0)

    def run(self, context):
        while True:
            yield context.wait_for_work()
            yield context.until_after(context.now)
            pair = context.take(at_most=2)
            yield context.until(context.now + max(item.time for item in pair))
            for item in pair:
                context.complete(item)


def test_a_system_of_ones_own_that_works_in_pairs():
    """Times 10, 4, 6 s at once: the pair is done at 10 s, the third at 16 s."""
    run = wait_for(sim.Callback(), [10.0, 4.0, 6.0], arrivals=[0.0] * 3, system=EveryOther())
    assert run.waits.completed.tolist() == [10.0, 10.0, 16.0]
    # and without times of the test it draws its own
    alone = play(sim.Polling(4), scenario_of([sim.AsyncStep("w", "out")], EveryOther()))
    assert only(alone.waits).latency == 2.0


class Forgetful(sim.ExternalSystem):
    """Puts every first look at an item back into the queue, and loses one in two for good."""

    item_time = sim.fixed(1.0)

    def run(self, context):
        while True:
            yield context.wait_for_work()
            items = context.take(submitted_by=context.now)
            context.put_back(items)
            assert list(context.queue) == items
            for item in context.take():
                if item.number % 2:
                    context.complete(item, at=context.now + 5.0)


def test_a_system_that_loses_items_leaves_waits_open_and_says_so():
    """Every other item is lost: half of the waits are still open, and a warning counts them."""
    scenario = scenario_of([sim.AsyncStep("w", "out")], Forgetful(), arrivals=[0.0] * 10)
    with pytest.warns(sim.CensoredWarning, match="^5 of 10 waits were still open"):
        run = sim.simulate(scenario, sim.Callback())
    assert run.waits.completed.dropna().tolist() == [5.0] * 5


class Hasty(sim.ExternalSystem):
    item_time = sim.fixed(1.0)

    def run(self, context):
        while True:
            yield context.wait_for_work()
            for item in context.take():
                context.complete(item)
                context.complete(item, at=context.now + 5.0)


@pytest.mark.parametrize("strategy", [sim.Callback("10s"), sim.Polling(3), sim.Polling(60)])
def test_a_system_that_completes_an_item_twice_is_told_so(strategy):
    """Completing twice is a fault of the system, named with the serial number."""
    with pytest.raises(sim.EngineError, match="'1_1' was completed twice"):
        wait_for(strategy, 1.0, system=Hasty())


def test_chances_of_a_system_depend_on_its_name_and_the_seed_only():
    """The same system under the same name draws the same numbers, another one others."""

    class Dice(sim.ExternalSystem):
        item_time = sim.fixed(1.0)
        thrown: ClassVar = []

        def run(self, context):
            self.thrown.append([context.chance("dice", k) for k in range(3)])
            yield context.wait_for_work()

    steps = [sim.AsyncStep("w", "a")]
    one = scenario_of(steps, {"a": Dice(), "b": FREE})
    two = scenario_of(steps, {"b": FREE, "a": Dice(), "c": Dice()})
    for scenario, seed in ((one, 0), (two, 0), (one, 1)):
        play(Silent(), scenario, seed=seed)
    first, again, other, later = Dice.thrown
    assert first == again
    assert len({tuple(t) for t in (first, other, later)}) == 3
    assert all(0 <= u < 1 for u in first)


class OnTheHalfHour(sim.Polling):
    """Asks at times of its own, and nothing else is changed."""

    def next_check(self, step):
        return (step.last_check // 1800 + 1) * 1800.0


def test_a_subclass_with_times_of_its_own_keeps_them_when_checks_are_free():
    """Skipped or played, the checks fall where the subclass says."""
    free, paid = (
        wait_for(OnTheHalfHour("1min"), 5000.0, server={"poll_work": work}) for work in (0.0, 1e-9)
    )
    assert only(free.waits).checks == only(paid.waits).checks == 3
    assert only(free.waits).resumed == 5400.0
