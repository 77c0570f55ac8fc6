"""Time-outs are found again, with what follows them."""

import pytest
from known_logs import scenario

import asyncsim as sim

pytestmark = pytest.mark.slow

DAY = sim.Poisson("100/day", between=("08:00", "20:00"))
SLOW = sim.OnlineService(sim.exponential("1h"), lanes=None)
PHASE = "lifecycle:transition"


def log_of(on_timeout, **more):
    """Return the log of a step that gives up after 40 minutes and of one after it."""
    ask = sim.AsyncStep("ask", "ledger", timeout="40min", on_timeout=on_timeout)
    steps = [ask, sim.Step("note", "5s")]
    known = scenario(SLOW, days=7, steps=steps, arrivals=DAY, **more)
    return sim.simulate(known, sim.Callback(), seed=2).event_log()


@pytest.mark.filterwarnings("ignore::asyncsim.LogWarning")
@pytest.mark.parametrize("follows", ["continue", "fail"])
def test_a_time_out_and_what_follows_are_found_again(follows):
    """And the fitted scenario explains its log, whose answers are all quick ones."""
    fit = sim.fit(log_of(follows))
    ask = fit.scenario.process.steps[0]
    assert (ask.timeout, ask.on_timeout) == (pytest.approx(2400.0, abs=0.01), follows)
    law = fit.systems["ledger"].law
    assert law.low <= 3600.0 <= law.high
    assert fit.check(replications=10, progress=False).table["within"].mean() > 0.9


@pytest.mark.filterwarnings("ignore::asyncsim.LogWarning")
@pytest.mark.parametrize("follows", ["continue", "fail"])
def test_what_follows_a_time_out_of_the_last_step_is_not_known(follows):
    """Nothing comes after it, whether the instance failed or not."""
    ask = sim.AsyncStep("ask", "ledger", timeout="40min", on_timeout=follows)
    known = scenario(SLOW, days=7, steps=[sim.Step("note", "5s"), ask], arrivals=DAY)
    fit = sim.fit(sim.simulate(known, sim.Callback(), seed=2).event_log())
    assert fit.scenario.process.steps[1].timeout == pytest.approx(2400.0, abs=0.01)
    gaps = fit.unexplained.set_index("what")["amount"]
    assert gaps["what follows a time-out"] == "not known"
    assert not fit.account["how"].str.contains("their instances").any()


@pytest.mark.filterwarnings("ignore::asyncsim.LogWarning")
def test_waits_given_up_after_different_times_make_no_time_out():
    """As when a user cancels by hand; this is reported."""
    log = log_of("fail")
    gone = log[PHASE] == "ate_abort"
    starts = log[log[PHASE] == "suspend"].set_index("case:concept:name")["time:timestamp"]
    begun = log["case:concept:name"].map(starts)
    half = log["time:timestamp"].where(~gone, begun + (log["time:timestamp"] - begun) / 2)
    some = gone & (log.index % 2 == 0)
    fit = sim.fit(log.assign(**{"time:timestamp": half.where(some, log["time:timestamp"])}))
    assert fit.scenario.process.steps[0].timeout is None
    assert "waits that were given up" in set(fit.unexplained["what"])


def test_a_log_without_resumptions_has_waits_that_end_with_their_steps():
    """Suspended and completed is all that some systems write."""
    log = sim.simulate(
        scenario(SLOW, days=7, steps=[sim.AsyncStep("ask", "ledger")], arrivals=DAY),
        sim.Callback(),
        seed=2,
    ).event_log()
    whole, short = sim.fit(log), sim.fit(log[log[PHASE] != "resume"])
    assert short.scenario.systems == whole.scenario.systems


@pytest.mark.filterwarnings("ignore::asyncsim.LogWarning")
def test_lost_answers_that_are_given_up_do_not_make_the_others_slow():
    """Answers take a minute, or never come and are given up after ten."""
    ask = sim.AsyncStep("ask", "ledger", timeout="10min", on_timeout="continue")
    quick = sim.OnlineService(sim.exponential("1min"), lanes=None)
    known = scenario(quick, days=14, steps=[ask, sim.Step("note", "5s")])
    run = sim.simulate(known, sim.Callback(loss=0.1), seed=2)
    fit = sim.fit(run.event_log())
    law = fit.systems["ledger"].law
    assert law.low <= 60.0 <= law.high
    gaps = fit.unexplained.set_index("what")["amount"]
    lost = int(gaps["waits that have not ended"].split()[0])
    assert lost == pytest.approx(0.1 * len(run.waits), rel=0.2)
