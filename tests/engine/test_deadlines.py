"""Deadlines of steps, instances and by the clock; sweeps; outside work that is withdrawn.

The oracles are a queue whose customers leave at their deadline, in closed form, the uniform
lateness of a sweep, and brute force over the draws of servers that are never busy.
"""

import math

import numpy as np
import pytest

import asyncsim as sim

ENGINES = ("simpy", "compiled")
both = pytest.mark.parametrize("engine", ENGINES)
NO_ONE = sim.OnlineService("30d", lanes=None)


def scenario(*steps, system=NO_ONE, arrivals=(0.0,), timeout=None, **more):
    """Make a scenario of some steps; numbers are instants of arrival."""
    if not isinstance(arrivals, sim.Poisson):
        arrivals = sim.ArrivalTimes(list(arrivals))
    server = more.pop("server", sim.WorkflowServer(1))
    return sim.Scenario(
        name="deadlines",
        process=sim.Process("p", list(steps), timeout=timeout),
        systems={"s": system},
        arrivals=arrivals,
        server=server,
        **{"start": "2026-01-05", "length": "1d"} | more,
    )


def wait(**more):
    """Make a waiting step."""
    return sim.AsyncStep("w", "s", **more)


# --- from when a deadline counts ------------------------------------------------------------------


@both
def test_the_queue_counts_in_the_time_of_a_step(engine):
    """A step times out while its call is queued or served; its wait was never armed."""
    calls = wait(call_work="40s", step_timeout="60s", on_timeout="continue")
    run = sim.simulate(scenario(calls, arrivals=[0.0] * 3), sim.Callback(), engine=engine)
    steps = run.steps.sort_values("instance")
    assert steps["started"].tolist() == [0.0, 40.0, 80.0]  # all calls are made
    assert steps["ended"].tolist() == [60.0, 60.0, 60.0]
    assert set(steps["outcome"]) == {"timed out"}
    assert run.waits["instance"].tolist() == [1]  # the others were not armed
    assert run.waits["completed"].tolist() == [40.0 + 30 * 86_400.0]


@both
def test_the_earliest_deadline_decides(engine):
    """Of the wait, of the step and by the clock."""
    for limits, ended in [
        ({"timeout": "5min", "step_timeout": "10min", "until": "00:30"}, 60 + 300.0),
        ({"timeout": "15min", "step_timeout": "10min", "until": "00:30"}, 600.0),
        ({"timeout": "50min", "step_timeout": "1h", "until": "00:30"}, 1800.0),
    ]:
        run = sim.simulate(scenario(wait(call_work="60s", **limits)), sim.Callback(), engine=engine)
        assert run.waits["closed"].tolist() == [ended]


@both
@pytest.mark.parametrize(
    ("start", "arrives", "until", "hours"),
    [
        ("2026-01-05", 17 * 3600.0 - 1, "17:00", 17),
        ("2026-01-05", 17 * 3600.0, "17:00", 24 + 17),  # reached at 17:00: the next day
        ("2026-03-29", 0.0, "17:00", 16),  # the clocks skip an hour
        ("2026-10-25", 0.0, "17:00", 18),
        ("2026-01-09", 17 * 3600.0, "0 17 * * 1-5", 3 * 24 + 17),  # from Friday to Monday
    ],
)
def test_until_is_the_next_such_clock_time(engine, start, arrives, until, hours):
    """Later than the step was reached, by the clock of the zone."""
    one = scenario(wait(until=until), arrivals=[arrives], start=start, zone="Europe/Berlin")
    run = sim.simulate(one, sim.Callback(), engine=engine)
    assert run.waits["closed"].tolist() == [hours * 3600.0]


@both
def test_steps_after_the_acceptance_are_not_broken_off(engine):
    """A deadline that passes between acceptance and arming counts when the steps have ended."""
    step = wait(step_timeout="10s", on_accepted=[sim.Step("react", "25s")], on_timeout="continue")
    run = sim.simulate(scenario(step, sim.Step("last", "1s")), sim.Callback(), engine=engine)
    assert not len(run.waits)
    ended = run.steps.set_index("step")["ended"]
    assert ended.to_dict() == {"react": 25.0, "w": 25.0, "last": 26.0}


@both
def test_an_instance_times_out_as_a_whole(engine):
    """Its open waits end in all branches, nothing follows, and a plain step is ended."""
    branches = [[wait()], [sim.AsyncStep("v", "s", arm_delay="2h")], [sim.Step("work", "2h")]]
    one = scenario(sim.Parallel("all", branches), sim.Step("last"), timeout="1h")
    run = sim.simulate(one, sim.Callback(), engine=engine)
    assert run.instances[["ended", "outcome"]].to_numpy().tolist() == [[3600.0, "timed out"]]
    outcomes = run.steps.set_index("step")["outcome"]
    assert outcomes.to_dict() == {"w": "timed out", "v": "timed out", "work": "done"}
    assert run.waits[["closed", "outcome"]].to_numpy().tolist() == [[3600.0, "timed out"]]
    assert run.summary()["failed"].item() == 1


@both
def test_idle_servers_by_brute_force(engine):
    """Who times out, and when, follows from the draws if nobody waits for a worker or a lane."""
    step = wait(
        timeout="20min", step_timeout="25min", until="*/30 * * * *", arm_delay="7min",
        on_timeout="continue",
    )  # fmt: skip
    service = sim.OnlineService(sim.exponential("15min"), lanes=None)
    one = scenario(step, system=service, arrivals=sim.Poisson("60/h"), timeout="22min")
    draws = one.draw(seed=3)
    run = sim.simulate(one, sim.Callback(), draws=draws, engine=engine)
    came, work = draws.arrivals, np.ravel(draws.external["w"])
    deadline = np.minimum(came + 420.0 + 1200.0, came + 1320.0)  # of the wait, of the instance
    deadline = np.minimum(deadline, 1800.0 * (np.floor(came / 1800.0) + 1))
    armed = np.isin(np.arange(len(came)) + 1, run.waits["instance"])
    np.testing.assert_array_equal(armed, came + 420.0 <= deadline)
    late = (came + work >= deadline) | (work < 420.0)  # rejected: it came before the arming
    ended = np.where(late, deadline, came + work)
    np.testing.assert_allclose(run.waits["closed"], ended[armed], rtol=0, atol=1e-9)
    timed_out = (run.waits["outcome"] == "timed out").to_numpy()
    np.testing.assert_array_equal(timed_out, late[armed])


# --- when it is noticed ---------------------------------------------------------------------------


@both
def test_a_sweep_is_late_by_a_uniform_time(engine):
    """On average by half an interval; Kolmogorov's distance is below that of one in 10,000."""
    server = sim.WorkflowServer(1, timeout_sweep="1min")
    one = scenario(wait(timeout="10min"), arrivals=sim.Poisson("200/h"), server=server)
    closed = sim.simulate(one, sim.Callback(), seed=1, engine=engine).waits
    late = np.sort(closed["closed"] - closed["armed"] - 600.0)
    assert late.min() >= -1e-9
    assert np.all(closed["closed"] % 60.0 == 0.0)
    distance = np.abs(late / 60.0 - (np.arange(len(late)) + 0.5) / len(late)).max()
    assert distance < 2.23 / math.sqrt(len(late)) + 0.5 / len(late)


@both
def test_a_deadline_at_a_sweep_is_noticed_by_it(engine):
    """n8n looks once a minute: 5 s become what is left of it, and one on the minute is exact."""
    server = sim.WorkflowServer(1, timeout_sweep="1min")
    one = scenario(wait(timeout="5s"), arrivals=[55.0, 56.0, 100.0], server=server)
    run = sim.simulate(one, sim.Callback(), engine=engine)
    assert run.waits["closed"].tolist() == [60.0, 120.0, 120.0]


# --- what becomes of the work ---------------------------------------------------------------------


@pytest.mark.parametrize("load", [0.8, 1.0, 1.6])
def test_share_that_leaves_a_queue_at_its_deadline(load):
    """An M/M/1 queue whose customers leave after a time D is a dam of capacity D.

    Who comes brings work up to the capacity only, so the content is that of the dam without a
    limit, on condition that it is below D (Takács 1967, Combinatorial Methods): in service times,
    a share ``(1 - ρ) e / (1 - ρ e)`` with ``e = exp(-(1 - ρ) D)`` leaves; ``1 / (1 + D)`` at ρ = 1.
    """
    patience = 3.0
    service = sim.OnlineService(sim.exponential("1min"))
    step = wait(timeout=60.0 * patience, withdraw=True, on_timeout="continue")
    arrivals = sim.Poisson(f"{60 * load}/h")
    one = scenario(step, system=service, arrivals=arrivals, length="3d")
    shares = []
    for seed in range(12):
        run = sim.simulate(one, sim.Callback(), seed=seed, engine="compiled")
        shares.append((run.waits["outcome"] == "timed out").mean())
    e = math.exp(-(1 - load) * patience)
    expected = (1 - load) * e / (1 - load * e) if load != 1 else 1 / (1 + patience)
    error = np.std(shares, ddof=1) / math.sqrt(len(shares))
    assert abs(np.mean(shares) - expected) < 4.5 * error
    assert error < 0.01


@both
def test_withdrawn_work_frees_its_lane_at_once(engine):
    """What waits moves up; without it the lane is busy with work that nobody waits for."""
    service = sim.OnlineService(sim.empirical([600.0, 60.0]))
    step = {"timeout": "2min", "on_timeout": "continue"}
    draws = {"w": [600.0, 60.0, 60.0]}
    for withdraw, completed in [(False, [600.0, 660.0, 720.0]), (True, [math.nan, 180.0, 240.0])]:
        one = scenario(wait(withdraw=withdraw, **step), system=service, arrivals=[0.0, 70.0, 125.0])
        given = sim.Draws(arrivals=[0.0, 70.0, 125.0], external=draws)
        run = sim.simulate(one, sim.Callback(), draws=given, engine=engine)
        np.testing.assert_array_equal(run.waits["completed"], completed)
        assert len(run.deliveries) == (2 if withdraw else 3)  # late ones are sent without it


@both
def test_a_person_continues_with_the_next_task_in_working_hours(engine):
    """A task withdrawn over night is not continued in the morning."""
    people = sim.People(1, "2h", between=("08:00", "17:00"), days="every day")
    step = wait(until="20:00", withdraw=True)
    one = scenario(step, system=people, arrivals=[16 * 3600.0, 21 * 3600.0], length="2d")
    run = sim.simulate(one, sim.Callback(), engine=engine)
    assert run.waits["outcome"].tolist() == ["timed out", "resumed"]
    assert run.waits["completed"].tolist()[1] == (24 + 10) * 3600.0


@both
def test_a_batch_does_not_process_what_was_withdrawn_before_it(engine):
    """The item behind is first; what a run has collected takes its time, and is dropped."""
    batch = sim.NightlyBatch("22:00", "1h")
    for timeout, completed in [("90min", [math.nan, 23.0]), ("150min", [math.nan, 24.0])]:
        step = wait(timeout=timeout, withdraw=True, on_timeout="continue")
        instants = [20 * 3600.0, 21.8 * 3600.0]
        one = scenario(step, system=batch, arrivals=instants)
        run = sim.simulate(one, sim.Callback(), engine=engine)
        np.testing.assert_array_equal(run.waits["completed"] / 3600.0, completed)


# --- input ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: wait(step_timeout="-5min"), r"AsyncStep.step_timeout must be positive, got '-5m"),
        (lambda: wait(step_timeout=math.nan), "AsyncStep.step_timeout must be"),
        (lambda: wait(until="25:00"), "AsyncStep.until must be a clock time .*, got '25:00'"),
        (lambda: wait(until="0 25 * * *"), "AsyncStep.until is not a valid cron expression"),
        (lambda: wait(withdraw="yes"), "AsyncStep.withdraw must be true or false, got 'yes'"),
        (lambda: sim.Process("p", [wait()], timeout=0), "Process.timeout must be positive, got 0"),
        (
            lambda: sim.WorkflowServer(timeout_sweep="0s"),
            "WorkflowServer.timeout_sweep must be positive, got '0s'",
        ),
        (lambda: sim.WorkflowServer(timeout_sweep=1e-9), "timeout_sweep must be at least 1 ms"),
    ],
)
def test_bad_input_is_named(make, message):
    """The argument, the value, and what would be right."""
    with pytest.raises(sim.ScenarioError, match=message):
        make()


@both
def test_a_clock_time_that_never_comes_is_named(engine):
    """A calendar has 40 years."""
    one = scenario(sim.Step("long", "15000d"), wait(until="17:00"))
    with pytest.raises(sim.ScenarioError, match=r"AsyncStep.until: the calendar ran out"):
        sim.simulate(one, sim.Callback(), engine=engine, resolution="1d")


def test_a_file_keeps_all_deadlines(tmp_path):
    """Saved and loaded again it is the same scenario; its words name each deadline."""
    server = sim.WorkflowServer(1, timeout_sweep="1min")
    step = wait(timeout="1h", step_timeout="2h", until="17:00", withdraw=True)
    one = scenario(step, timeout="36h", server=server)
    one.save(tmp_path / "one.toml")
    assert sim.Scenario.load(tmp_path / "one.toml") == one
    html = one._repr_html_()
    for words in (
        "after waiting for 1 h, or 2 h after the step is reached, or at 17:00",
        "time out 1.5 d after their arrival",
        "deadlines are noticed every 1 min",
    ):
        assert words in html
