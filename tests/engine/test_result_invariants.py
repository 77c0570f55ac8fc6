"""Each invariant is violated on purpose, and the error names it."""

import copy

import numpy as np
import pytest
from plays import play, scenario_of

import asyncsim as sim
from asyncsim.engine.environment import Job
from asyncsim.engine.graph import Graph
from asyncsim.engine.result import Outcome, StepOutcome, WaitOutcome, check_invariants

SCENARIO = scenario_of(
    [sim.Step("s", 3.0), sim.AsyncStep("w", "out", call_work=2.0), sim.Step("z", 1.0)],
    arrivals=(0.0, 0.0, 0.0),
    workers=1,
    poll_work=1.0,
)


@pytest.fixture
def record():
    """Return the record of a run that satisfies all invariants, to be tampered with."""
    run = play(sim.Polling(60), SCENARIO, external={"w": [100.0, 130.0, 1000.0]}, until=500.0)
    check_invariants(run.record, SCENARIO)
    assert run.waits.outcome.tolist() == ["resumed", "resumed", "waiting"]
    return copy.deepcopy(run.record)


def step(record, name):
    """Return the columns of a step."""
    names = [node.name for node in Graph.of(SCENARIO.process).nodes]
    return record.steps[names.index(name)]


def picked_up_before_it_was_queued(record):
    step(record, "s").started[0] = -1.0


def ended_before_it_was_queued(record):
    step(record, "z").ended[0] = step(record, "z").queued[0] - 1.0


def armed_before_it_was_called(record):
    record.waits.armed[0] = record.waits.called[0] - 1.0


def closed_before_it_was_armed(record):
    record.waits.closed[1] = record.waits.armed[1] - 1.0


def resumed_before_completion(record):
    record.waits.completed[0] = record.waits.closed[0] + 1.0


def resumed_without_completion(record):
    record.waits.completed[0] = np.nan


def ended_before_it_arrived(record):
    record.ended[0] = record.arrived[0] - 1.0


def a_wait_that_was_not_counted(record):
    record.open_count -= 1


def a_wait_that_vanished(record):
    record.waits.outcome[2] = WaitOutcome.CANCELLED


def a_step_that_resumed_twice(record):
    step(record, "z").outcome = np.array([StepOutcome.RESUMED])


def a_wait_that_resumed_nothing(record):
    step(record, "w").outcome[0] = StepOutcome.OPEN


def an_end_without_outcome(record):
    record.outcomes[0] = Outcome.RUNNING


def an_outcome_without_end(record):
    record.outcomes[2] = Outcome.DONE


def more_work_than_workers(record):
    record.loads[Job.CHECK].busy[1] += 0.99


def more_waiting_than_time_spent(record):
    record.open_seconds *= 1.001


def less_waiting_than_time_spent(record):
    record.waits.closed[0] -= 1.0


def a_queue_nobody_stood_in(record):
    record.loads[Job.WORK].queue[0] += 0.1


def calls_nobody_waited_for(record):
    record.loads[Job.CALL].queue[0] -= 0.05


BREACHES = {
    picked_up_before_it_was_queued: "times.*queued at 0.0 s and picked up at -1.0 s",
    ended_before_it_was_queued: "times.*a step was queued at .* and ended at",
    armed_before_it_was_called: "times.*called at .* and its wait armed at",
    closed_before_it_was_armed: "times.*armed at .* and closed at",
    resumed_before_completion: "times.*completed at .* and its step resumed at",
    resumed_without_completion: "times.*resumed whose work was never completed",
    ended_before_it_arrived: "times.*arrived at 0.0 s and ended at -1.0 s",
    a_wait_that_was_not_counted: "flow.*1 waits are open in the table, 0 counted",
    a_wait_that_vanished: "flow.*0 waits are open in the table, 1 counted",
    a_step_that_resumed_twice: "flow.*2 waits resumed, but 3 steps",
    a_wait_that_resumed_nothing: "flow.*2 waits resumed, but 1 steps",
    an_end_without_outcome: "flow.*ended without an outcome",
    an_outcome_without_end: "flow.*ended without an outcome",
    more_work_than_workers: "utilisation.* of 1 workers were busy",
    more_waiting_than_time_spent: "Little.*open waits.* s counted over time, .* s spent",
    less_waiting_than_time_spent: "Little.*open waits",
    a_queue_nobody_stood_in: "Little.*queue of work jobs",
    calls_nobody_waited_for: "Little.*queue of call jobs",
}


@pytest.mark.parametrize("breach", BREACHES, ids=lambda breach: breach.__name__)
def test_a_broken_invariant_is_an_error_that_names_it(record, breach):
    """A record that was tampered with is refused, with the invariant and its numbers."""
    breach(record)
    with pytest.raises(sim.EngineError, match=BREACHES[breach]):
        check_invariants(record, SCENARIO)


class TimeTraveller(sim.ExternalSystem):
    """Tells the strategy of completion, and afterwards says it was never done."""

    item_time = sim.fixed(1.0)

    def run(self, context):
        while True:
            yield context.wait_for_work()
            for item in context.take():
                context.complete(item)
                wait = context._simulation.waits.records[item.serial_number]
                wait.completed = float("inf")


def test_simulate_checks_the_invariants_of_every_run():
    """A user's own system that violates an invariant makes the run an error."""
    scenario = scenario_of([sim.AsyncStep("w", "out")], TimeTraveller())
    with pytest.raises(sim.EngineError, match="times invariant broken"):
        sim.simulate(scenario, sim.Callback("1s"))
