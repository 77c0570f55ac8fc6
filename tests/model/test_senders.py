"""Senders: what an outage of the receiver costs, by closed form and on both engines."""

import warnings

import numpy as np
import pytest
from attrs import evolve

import asyncsim as sim
from asyncsim.model.senders import SENDERS

HOUR = 3600.0
DOWN = {"10min": 600.0, "2h": 2 * HOUR, "12h": 12 * HOUR}
# Mean and longest lateness in minutes, and share lost in per cent, as published tables round them
COSTS = {
    "svix": [(14.8, 30, 0), (59, 120, 0), (246, 600, 0)],
    "adyen": [(3.7, 10, 0), (20, 60, 0), (174, 480, 0)],
    "circle cpn": [(9.1, 15, 0), (73, 180, 0), (150, 360, 0)],
    "juspay upi": [(2.5, 5, 0), (17, 60, 0), (102, 360, 0)],
    "nmi": [(3.9, 15, 0), (23, 60, 0), (90, 720, 0)],
    "alloy": [(4.1, 9, 0), (36, 90, 0), (120, 360, 0)],
    "kit": [(8.7, 15, 0), (93, 240, 0), (330, 720, 0)],
    "wix": [(5.0, 10, 0), (54, 120, 0), (90, 240, 0)],
    "brevo": [(5.0, 10, 0), (55, 120, 0), (186, 480, 7)],
    "pusher beams": [(2, 5, 23), (None, None, 94), (None, None, 99)],
    "ice encompass": [(None, None, 93), (None, None, 99), (None, None, 100)],
    "github": [(None, None, 100)] * 3,
}


def rounded(value, published):
    """Return whether a value rounds to a published one: two digits of hours, or of minutes."""
    half = 3 if published >= 90 and published != 93 else 0.05 if published % 1 else 0.5
    return abs(value - published) <= half + 1e-9


@pytest.mark.parametrize("name", COSTS)
def test_what_an_outage_costs_is_as_published(name):
    """Twelve schedules, outages of 10 minutes, 2 hours and 12 hours: 36 cells."""
    for length, (mean, longest, lost) in zip(DOWN, COSTS[name], strict=True):
        found = SENDERS[name].after_outage(length)
        assert abs(100 * found.lost - lost) < 0.6, length
        if mean is not None:
            assert rounded(found.mean / 60, mean), (length, found.mean / 60)
            assert rounded(found.longest / 60, longest), (length, found.longest / 60)


def down_three_times(name):
    """Return a scenario with three outages of the endpoint, work that ends in them, and a sender.

    Events are spread evenly over each outage: a random one in each of 40 equal parts of it.
    """
    rng, starts = np.random.default_rng(5), [0.0, 50 * 24 * HOUR, 100 * 24 * HOUR]
    parts = [
        start + length * (np.arange(40) + rng.random(40)) / 40
        for start, length in zip(starts, DOWN.values(), strict=True)
    ]
    scenario = sim.Scenario(
        "down three times",
        sim.Process("p", [sim.AsyncStep("wait", "outside")]),
        {"outside": sim.OnlineService("0s", lanes=None)},
        sim.ArrivalTimes(np.concatenate(parts).tolist()),
        sim.WorkflowServer(
            outages=[
                sim.Outage(start, length, parts="endpoint")
                for start, length in zip(starts, DOWN, strict=True)
            ]
        ),
        length="120 days",
    )
    # Each event on its own, as the closed form has it, whatever Retry-After says
    return (
        scenario,
        sim.Callback(sender=evolve(SENDERS[name], queue="independent", retry_after=False)),
        starts,
    )


@pytest.mark.parametrize("engine", ["simpy", "compiled"])
@pytest.mark.parametrize("name", COSTS)
def test_both_engines_are_as_late_as_the_closed_form(name, engine):
    """Mean lateness after recovery within four standard errors, the longest never above it."""
    scenario, callback, starts = down_three_times(name)
    waits = played(scenario, callback, engine).waits
    waits = waits.sort_values("completed").reset_index(drop=True)
    for k, (start, length) in enumerate(zip(starts, DOWN.values(), strict=True)):
        late = (waits["resumed"] - start - length)[40 * k : 40 * (k + 1)]
        expected = SENDERS[name].after_outage(length)
        assert abs(late.isna().mean() - expected.lost) <= 1.5 / 40
        late = late.dropna()
        if len(late) > 5:
            assert late.min() >= 0
            assert late.max() <= expected.longest + 1e-6
            assert abs(late.mean() - expected.mean) <= 4 * late.std() / len(late) ** 0.5


@pytest.mark.parametrize("engine", ["simpy", "compiled"])
def test_retry_after_makes_a_herd(engine):
    """All 120 events come within a second of the end of their outage, on the second attempt."""
    scenario, _, starts = down_three_times("kit")
    waits = sim.simulate(scenario, sim.Callback(sender="kit"), engine=engine).waits
    ends = np.repeat(
        [start + length for start, length in zip(starts, DOWN.values(), strict=True)], 40
    )
    late = waits["resumed"].to_numpy() - ends
    assert ((late >= 0) & (late < 1)).all()
    assert (waits["deliveries"] == 2).all()
    spread = sim.simulate(scenario, sim.Callback(sender="svix"), engine=engine).waits
    assert (spread["resumed"].to_numpy() - ends < 60).mean() < 0.1


def one_after_the_other(callback, server, number=4, every=1.0, timeout=None):
    """Return a scenario whose events come one after the other."""
    step = sim.AsyncStep("wait", "outside", timeout=timeout, on_timeout="continue")
    return sim.Scenario(
        "one after the other",
        sim.Process("p", [step]),
        {"outside": sim.OnlineService("10s", lanes=None)},
        sim.ArrivalTimes([every * k for k in range(number)]),
        server,
    )


def played(scenario, callback, engine):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", sim.CensoredWarning)
        return sim.simulate(scenario, callback, engine=engine)


@pytest.mark.parametrize("engine", ["simpy", "compiled"])
class TestSenders:
    """What a sender does with the events behind one that fails, and when it stops."""

    down = sim.WorkflowServer(outages=[sim.Outage("5s", "10s", parts="endpoint")])  # until 15 s

    def test_one_queue_blocks(self, engine):
        """The first event fails until 40 s; the others, which would get through, wait for it."""
        callback = sim.Callback(retries=["30s"], queue="blocking")
        scenario = one_after_the_other(callback, self.down, every=3.0)
        run = played(scenario, callback, engine)
        assert run.waits["resumed"].tolist() == [40.0] * 4
        assert run.waits["deliveries"].tolist() == [2, 1, 1, 1]
        free = played(scenario, sim.Callback(retries=["30s"]), engine)
        assert free.waits["resumed"].tolist() == [40.0, 43.0, 16.0, 19.0]

    def test_exhausted_events_switch_the_endpoint_off(self, engine):
        """After two dead letters in a row nothing is sent, though the endpoint is up again."""
        callback = sim.Callback(switched_off_after=2)
        run = played(
            one_after_the_other(callback, self.down, every=2.0, number=5), callback, engine
        )
        found = run.deliveries["outcome"].value_counts().to_dict()
        assert found == {"endpoint down": 2, "dead letter": 2, "switched off": 3}

    def test_an_answer_410_switches_the_endpoint_off(self, engine):
        """The first wait times out before its callback: the sender stops for all."""
        callback = sim.Callback("1s", switched_off_by_410=True)
        scenario = one_after_the_other(callback, sim.WorkflowServer(), every=5.0, timeout="10500ms")
        outcomes = played(scenario, callback, engine).deliveries["outcome"].tolist()
        assert outcomes == ["late, rejected", *["switched off"] * 3]

    def test_a_slow_answer_is_a_duplicate(self, engine):
        """Handling takes 15 s, the sender waits for 10 s and sends again."""
        callback = sim.Callback(answer_within="10s", retries=["1s"])
        server = sim.WorkflowServer(1, callback_work="15s")
        run = played(one_after_the_other(callback, server, number=1), callback, engine)
        found = run.deliveries[["outcome", "sent", "handled"]].to_numpy().tolist()
        assert found[0] == ["finished", 10.0, 25.0]
        assert found[1][:2] == ["dead letter", 31.0]  # ten seconds after the second arrival, at 21
        assert found[2] == ["duplicate, rejected", 21.0, 40.0]


def test_a_sender_sets_what_is_left_out():
    """By its name or as an object, and a parameter that is given stands."""
    adyen = sim.Callback("1s", sender="Adyen").specification.deliveries
    assert (adyen.queue, adyen.answer_within, len(adyen.retries)) == ("blocking", 10.0, 99)
    own = sim.Callback(sender="adyen", answer_within="20s").specification.deliveries
    assert own.answer_within == 20.0
    assert own.retries == adyen.retries
    assert sim.senders().loc["adyen", "attempts"] == 100


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: sim.Callback(sender="svux"), "sender must be one of .*did you mean 'svix'"),
        (lambda: sim.Callback(sender=3), "Callback.sender must be a Sender or one of"),
        (
            lambda: sim.Callback(queue="fifo"),
            "Callback.queue must be one of 'independent', 'blocking'",
        ),
        (lambda: sim.Callback(answer_within=0), "Callback.answer_within must be positive"),
        (lambda: sim.Callback(retry_after="yes"), "Callback.retry_after must be true or false"),
        (lambda: sim.Callback(switched_off_after=0), "Callback.switched_off_after must be"),
        (lambda: sim.Sender("me", ["5 x x"]), "Sender.pauses must be a duration"),
        (lambda: SENDERS["kit"].after_outage(-1), "length must be positive, got -1"),
    ],
)
def test_bad_input_is_named(make, words):
    """Argument, value and what would be right."""
    with pytest.raises(sim.ScenarioError, match=words):
        make()
