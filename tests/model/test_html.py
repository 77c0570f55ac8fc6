"""What model objects show in a notebook: escaped, in the colours of the page, and bounded."""

import re
from html import unescape

import pytest
from hypothesis import given, settings
from scenarios import scenarios, strategies

import asyncsim as sim
from asyncsim.model.html import MOST_SHOWN, cells_html, facts_html, process_html
from asyncsim.model.profiles import PROFILES

SCRIPT = "<script>alert(1)</script>"
COLOUR = re.compile(r"(?:color|background)\s*:\s*(?!currentColor)[^;\"]+|#[0-9a-f]{3,8}\b")


def words_of(html):
    """Return the text of HTML as a reader sees it, without elements."""
    return " ".join(unescape(re.sub("<[^>]*>", " ", html)).split())


def shown(process, **more):
    """Return the text of a scenario with this process."""
    systems = {one.system: sim.OnlineService("1s") for one in process.of_type(sim.AsyncStep)}
    scenario = sim.Scenario(
        name="n", process=process, systems=systems, arrivals=sim.Regular("1min"), **more
    )
    return words_of(scenario._repr_html_())


def test_a_process_is_drawn_in_order():
    """Steps, a wait with its system, and what follows a time-out."""
    steps = [
        sim.Step("validate"),
        sim.AsyncStep("approve", "clerk", timeout="2h", on_timeout=[sim.Step("escalate")]),
        sim.Step("notify"),
    ]
    text = shown(sim.Process("order", steps))
    assert "validate → approve waits for clerk after 2 h: escalate → notify" in text


def test_a_choice_shows_probabilities_and_conditions_and_branches_run_at_once():
    """An empty branch is nothing."""
    choice = sim.Choice(
        "stock",
        [sim.Branch(0.8, [sim.Step("ship")], when={"in stock": True}), sim.Branch(0.2)],
    )
    both = sim.Parallel("both", [[sim.AsyncStep("bill", "bank")], [sim.Step("pack")]])
    text = shown(sim.Process("p", [choice, both]))
    assert "stock: one of 80 % (if in stock = True) : ship 20 % : nothing" in text
    assert "both: all at once bill waits for bank pack" in text


def test_responses_that_do_not_wait_are_drawn_with_their_way():
    """Only those that can happen."""
    response = sim.Response(accepted=0.9, done=0.06, rejected=0.04)
    step = sim.AsyncStep("a", "s", response=response, on_accepted=[sim.Step("note")])
    text = shown(sim.Process("p", [step]))
    assert "before it waits: note" in text
    assert "done at once (6 %): continues rejected (4 %): fails" in text
    assert "rejected (" not in shown(sim.Process("p", [sim.AsyncStep("a", "s")]))


def test_a_large_process_is_bounded():
    """Its first elements are drawn, and dots."""
    process = sim.Process("p", [sim.Step(f"step {k}") for k in range(5000)])
    html = process_html(process)
    assert f">step {MOST_SHOWN - 1}<" in html
    assert f">step {MOST_SHOWN}<" not in html
    assert "&hellip;" in html
    assert len(html) < 50_000


def test_names_are_no_markup():
    """Wherever they stand."""
    evil = [
        sim.AsyncStep(SCRIPT, SCRIPT + "s", timeout="1s", on_timeout=[sim.Step(SCRIPT + "t")]),
        sim.Choice(SCRIPT + "c", [sim.Branch(0.5, when={SCRIPT: SCRIPT}), sim.Branch(0.5)]),
    ]

    class Own(sim.Strategy):
        label = SCRIPT
        __doc__ = f"Does {SCRIPT}."

    scenario = sim.Scenario(
        name=SCRIPT,
        description=SCRIPT,
        process=sim.Process(f'"{SCRIPT}', evil),
        systems={SCRIPT + "s": sim.OnlineService("1s")},
        arrivals=sim.Regular("1min"),
        costs=sim.CostModel(check=1, currency=SCRIPT, source=SCRIPT),
    )
    for one in (scenario, Own(), scenario.costs):
        html = one._repr_html_()
        assert "<script" not in html
        assert SCRIPT in unescape(html)
    assert "<b>" not in facts_html([("<b>", "<b>")]) + cells_html(["<b>"], [["<b>"]])


@pytest.mark.parametrize(
    "one",
    [
        sim.Scenario.load("example:nightly_ledger"),
        sim.Polling("15min"),
        sim.Callback(loss=0.1),
        sim.Polling("10min").expected("1h"),
        sim.CostModel(check=1.0),
        PROFILES["camunda 8"],
    ],
)
def test_objects_take_their_colours_from_the_page_and_ask_for_nothing(one):
    """A line between rows is grey and translucent, which is readable on both."""
    html = one._repr_html_().replace("rgba(127,127,127,.35)", "")
    assert not COLOUR.search(html)
    assert not re.search(r"src=|href=|url\(|<style|<script|class=", html)


@settings(max_examples=60)
@given(scenarios(), strategies())
def test_whatever_is_valid_shows_itself(scenario, strategy):
    """Elements are closed in the order in which they are opened, and every step is there."""
    for one in (scenario, strategy):
        html = one._repr_html_()
        open_elements = []
        for closing, name in re.findall(r"<(/?)(\w+)[^>]*>", html):
            if closing:
                assert open_elements.pop() == name
            elif name != "br":
                open_elements.append(name)
        assert not open_elements
    text = words_of(scenario._repr_html_())
    for name, system in scenario.systems.items():
        assert name in text
        assert system.links
    for step in scenario.process.of_type(sim.AsyncStep):
        if step in scenario.process.steps:
            assert f"{step.name} waits for {step.system}" in text


def test_an_expectation_shows_its_loss_beside_its_latency():
    """A latency never stands alone where waits are lost."""
    lossy = sim.Callback("50ms", loss=0.1).expected("1min")
    assert words_of(lossy._repr_html_()).startswith(
        "90 % of the waits resume, 50 ms after completion on average; 10 % never resume."
    )
    every = sim.Polling("10min").expected(sim.exponential("10min"))
    assert "Every wait resumes, 5.82 min after" in words_of(every._repr_html_())
    assert "never resume" not in every._repr_html_()
    none = sim.Callback(loss=1.0).expected("1min")
    assert none.in_words == "100 % of the waits never resume."
    assert sim.Callback().expected("1min").in_words == "Every wait resumes, at completion."


def test_prices_are_in_words():
    """Small ones for a thousand, none of those that are zero."""
    words = sim.CostModel.preset("aws step functions").in_words
    assert words == "0.025 USD for 1,000 state transitions (a check has 3, a call 1)"
    assert sim.CostModel().in_words == "nothing has a price"
    hours = sim.CostModel(worker_hour=2, worker_time="provided", currency="EUR").in_words
    assert hours == "2 EUR for each hour of a worker, busy or idle"
