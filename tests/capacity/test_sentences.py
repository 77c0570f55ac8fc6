"""The sentences that answers begin with: true, with losses, and in words."""

import math
import platform
import re
from html import unescape

import pytest
import thorough
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import asyncsim as sim
from asyncsim.engine.metrics import metric_text
from asyncsim.model.units import percent

pytestmark = [
    pytest.mark.filterwarnings("ignore::asyncsim.errors.CensoredWarning"),
    pytest.mark.filterwarnings("ignore::asyncsim.errors.SteadyStateWarning"),
    pytest.mark.filterwarnings("ignore::asyncsim.errors.PrecisionWarning"),
]
FEW = {"replications": 2, "progress": False}
LOSSES = st.sampled_from([0.0, 0.0, 0.02, 0.3])
STRATEGIES = st.one_of(
    st.builds(sim.Callback, st.sampled_from(["50ms", "5s"]), loss=LOSSES),
    st.builds(sim.Polling, st.sampled_from(["1min", "10min"])),
    st.builds(sim.CallbackWithSafetyPoll, loss=LOSSES, every=st.just("1h")),
)
METRICS = ("mean_latency", "p95_latency", "max_latency", "requests", "longest_queue", "cost")


@st.composite
def scenarios(draw):
    """A batch, a service or people; some waits time out."""
    timeout = draw(st.sampled_from([None, None, "12h"]))
    system = draw(
        st.sampled_from(
            [
                sim.NightlyBatch("22:00", "1s", results="at end"),
                sim.OnlineService(sim.exponential("10min"), lanes=None),
                sim.OnlineService("5min", lanes=1),
            ]
        )
    )
    return sim.Scenario(
        name="random",
        process=sim.Process(
            "p", [sim.AsyncStep("ask", "office", timeout=timeout, on_timeout="continue")]
        ),
        systems={"office": system},
        server=sim.WorkflowServer(2, poll_work="100ms", callback_work="2s"),
        arrivals=sim.Poisson(draw(st.sampled_from(["20/day", "60/day"]))),
        costs=sim.CostModel(check=0.01, late_minute=0.02, currency="EUR"),
    )


def ask(draw, scenario):
    """The answer to a random question."""
    strategy, metric = draw(STRATEGIES), draw(st.sampled_from(METRICS))
    bound = draw(st.sampled_from([2, 30, 600]))
    question = draw(st.integers(0, 5))
    options = FEW | {"seed": draw(st.integers(0, 9))}
    if question == 0:
        target = f"{metric} <= {bound}"
        return sim.fewest_workers(scenario, strategy, target, between=(1, 8), **options)
    if question == 1:
        target, ends = f"{metric} <= {bound}", ("5/day", "100/day")
        return sim.largest_volume(scenario, strategy, target, between=ends, **options)
    ends = {"between": ("1min", "1h")} | options
    if question == 2:
        return sim.longest_interval(scenario, f"{metric} <= {bound}", **ends)
    if question == 3:
        return sim.cheapest_interval(scenario, metric=metric, **ends)
    other = draw(STRATEGIES.filter(lambda one: one.label != strategy.label))
    if question == 4:
        ends = ("arrivals.rate", ("5/day", "100/day"))
        return sim.break_even(scenario, strategy, other, *ends, metric=metric, **options)
    ends = ("server.workers", (1, 8))
    return sim.break_even(scenario, strategy, other, *ends, metric=metric, **options)


def check(answer):
    """Hold the sentence of an answer against its table."""
    text, table = answer.text, answer.table
    assert answer.findings() == [text]
    assert repr(answer).startswith(text)
    assert text[0] == text[0].upper()
    assert text.endswith(".")
    assert re.search(r"\d", text)
    at = table if answer.value is None else table[table["value"] == answer.value]
    for label, rows in at.groupby("strategy"):
        most = rows["unresumed_share"].max()
        assert (most > 0) <= ("never resume" in text), text
        if most > 0:
            assert f"{percent(most)} (" in text
            assert len(answer.strategies) == 1 or f"of the waits under '{label}' never" in text
    if not (at["unresumed_share"] > 0).any():
        assert "never resume" not in text
    if answer.value is None:
        assert text.startswith(("No ", "Neither ", "'"))
        assert "is found" not in text or not (table.get("verdict") == "met").all()
        return
    assert len(at) == len(answer.strategies)
    row = at.iloc[0]
    name, unit = row["metric"], row["unit"]
    if math.isfinite(row["mean"]) and "any loss at all" not in text:
        assert metric_text(name, row["mean"], unit) in text
        assert metric_text(name, row["high"], unit) in text or "± 0.1 %" in text or (
            row["low"] == row["high"] and "(in every replication)" in text
        ) or not math.isfinite(row["high"]), text  # fmt: skip
    elif not math.isfinite(row["mean"]):
        assert "is infinite in " in text
    if "verdict" in table:
        assert row["verdict"] in ("met", "undecided")
    if " alone)" in text:
        assert answer.low == answer.high == answer.value
    if "is cheapest:" in text:
        assert (answer.low, answer.high) != (None, None)
    if ("is cheapest" in text or " has the " in text) and answer.one_way:
        lower = table[table["mean"] < row["mean"] - 1e-9]["value"]
        ends = answer.low or -math.inf, answer.high or math.inf
        assert len(answer.strategies) > 1 or lower.between(*ends).all()
    for side, strategy in re.findall(r"(below|above) [^,;]+? '(.*?)'[,; ]", text):
        end = answer.low if side == "below" else answer.high
        means = table[table["value"] == end].set_index("strategy")["mean"]
        assert means.idxmin() == strategy or means.min() == means[strategy], text


@settings(
    max_examples=thorough.times(12),
    suppress_health_check=[HealthCheck.data_too_large, HealthCheck.too_slow],
)
@given(st.data())
def test_sentences_are_those_of_the_table(data):
    """On random answers."""
    check(ask(data.draw, data.draw(scenarios())))


def herds_and_frontiers(scenario, strategy, seed):
    """Answers that search nothing."""
    both = [strategy, sim.LongPolling("10min")]
    yield sim.frontier(scenario, both, seed=seed, **FEW)
    yield sim.frontier(scenario, both, ("p95_latency", "requests"), seed=seed, **FEW)
    yield sim.herd_drain(scenario, strategy, seed=seed, **FEW)


@settings(max_examples=thorough.times(6))
@given(scenarios(), STRATEGIES, st.integers(0, 9))
def test_losses_are_in_the_sentences_of_herds_and_frontiers(scenario, strategy, seed):
    """With the share of the table; who is beaten is beaten in the table."""
    *frontiers, herd = herds_and_frontiers(scenario, strategy, seed)
    for found in frontiers:
        text = " ".join(found.findings())
        for row in found.table.to_dict("records"):
            assert f"'{row['strategy']}' (" in text
            if row["unresumed_share"] > 0:
                assert f"{percent(row['unresumed_share'])} never resumed" in text
            beaten = any(
                one.startswith(f"'{row['strategy']}' (") and " is beaten in both by " in one
                for one in found.findings()
            )
            assert beaten == (row["on_frontier"] == "no")
    (sentence,) = herd.findings()
    assert ("never resume" in sentence) == bool(herd.herds["never"].any())
    assert re.search(r"\(.*\)", sentence)


# --- in words -------------------------------------------------------------------------------------

CODE = re.compile(r"<code>.*?</code>|`[^`]*`|<pre>.*?</pre>|<style>.*?</style>", re.DOTALL)
TAG = re.compile(r"<[^>]*>")
FIELD = re.compile(r"\b[a-z0-9]+_[a-z0-9_]+\b|\b(?:server|strategy|arrivals|systems)\.[a-z]\w*")


def in_words(text):
    """Hold a text, or HTML, against names of fields and units of machines."""
    plain = unescape(TAG.sub(" ", CODE.sub(" ", text))).replace(platform.machine(), "")
    assert not FIELD.findall(plain), FIELD.findall(plain)
    assert "[s]" not in plain
    assert "worker s" not in re.sub("worker s[a-z]", "", plain)
    assert not re.search(r"\b(nan|inf)\b", plain), plain


def answers():
    """One answer of every kind, with losses and without."""
    ledger = sim.Scenario.load("example:nightly_ledger").replace(
        arrivals=sim.Poisson("60/day", between=("08:00", "20:00")),
        costs=sim.CostModel(check=0.001, late_minute=0.02, currency="EUR"),
    )
    lossy, polling = sim.Callback("50ms", loss=0.2), sim.Polling("15min")
    few = {"seed": 1} | FEW
    workers = {"between": (1, 4)} | few
    yield sim.fewest_workers(ledger, lossy, "p95_latency <= 60s", **workers)
    yield sim.fewest_workers(ledger, sim.Callback(), "mean_cycle_time <= 60s", **workers)
    yield sim.fewest_workers(ledger, polling, "overhead_worker_time <= 1h", **workers)
    yield sim.largest_volume(
        ledger, polling, "longest_queue <= 2", between=("10/day", "80/day"), **few
    )
    yield sim.longest_interval(ledger, "max_latency <= 5min", between=(60, 3600), **few)
    yield sim.cheapest_interval(ledger, between=("10s", "2h"), **few)
    for metric in ("mean_latency", "database_operations"):
        loss = ("strategy.loss", (0.0, 0.5))
        yield sim.break_even(ledger, sim.Callback("50ms"), polling, *loss, metric=metric, **few)
        yield sim.frontier(ledger, [lossy, polling], (metric, "requests"), **few)
    yield sim.herd_drain(ledger, lossy, **few)
    grid = {"server.workers": [1, 2], "strategy.interval": [60, "15min"]}
    yield sim.sweep(ledger, grid, [lossy, polling], 3, 1, progress=False)
    yield sim.compare(ledger, [lossy, polling], **few)
    yield sim.replications_for(ledger, [lossy, polling], precision=0.1, seed=1, progress=False)
    yield sim.replications_for(ledger, [polling], within="1s", most_replications=6, progress=False)
    for metric in ("latency", "open_waits", "busy_workers"):
        yield sim.steady_state(ledger, lossy, metric, length="20 days", seed=1, progress=False)
    yield sim.simulate(ledger, lossy, seed=1)
    waits = sim.simulate(ledger, sim.Callback(), seed=1).waits
    names = {"serial_number": "SN", "armed_at": "submitted", "completed_at": "completed"}
    fitted = sim.fit(waits[list(names)].rename(columns=names), name="a log")
    yield fitted.check(replications=3, progress=False)


def test_no_answer_shows_names_of_fields_or_bare_seconds(tmp_path):
    """In its text and its HTML, nor in a report of all of them; sentences come first in both."""
    found = list(answers())
    for answer in found:
        in_words(str(answer))
        in_words(answer._repr_html_())
        assert answer.findings()
        assert str(answer).startswith(answer.findings()[0].rstrip("."))
        assert 'class="findings"' in answer._repr_html_()
    studies = [one for one in found if not isinstance(one, sim.Run)]
    page = sim.report(studies, tmp_path / "r.html").read_text(encoding="utf-8")
    in_words(re.sub(r'"data:[^"]*"', '""', page))
