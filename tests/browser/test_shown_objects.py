"""Objects that show themselves in a notebook: in the colours of the page, and in a narrow cell."""

import pytest
from in_browser import running

import asyncsim as sim
from asyncsim.model.profiles import PROFILES

PAGE = "<!doctype html><body style='background:{};color:{};margin:0'>{}</body>"
COLOURS = """() => [...new Set([...document.querySelectorAll("body *")]
  .map((one) => getComputedStyle(one))
  .flatMap((style) => [style.color, style.borderLeftColor]))]"""


def objects():
    """Return one object of each kind."""
    wait = sim.AsyncStep("approve", "clerk", timeout="2h", on_timeout=[sim.Step("escalate")])
    ways = sim.Choice("way", [(0.5, [sim.Step("a step with a rather long name")]), (0.5, [])])
    both = sim.Parallel("both", [[sim.Step("ship")], [sim.Step("bill")]])
    scenario = sim.Scenario(
        name="loan",
        process=sim.Process("loan", [wait, ways, both]),
        systems={"clerk": sim.People(3, "12min")},
        arrivals=sim.Poisson("10000/day"),
    )
    with sim.live(scenario, hold=True) as session:
        session.run_until("12:00")
        yield from (session, scenario, sim.Callback(loss=0.1), PROFILES["camunda 8"])
    yield sim.Polling("10min").expected("1h")
    yield sim.CostModel(check=0.001, late_minute=2.0, source="a price list")


@pytest.mark.parametrize(("paper", "ink"), [("white", "black"), ("black", "white")])
def test_colours_are_those_of_the_page(browser, paper, ink):
    """Dark or light, and nothing is fetched."""
    with running(browser[1]):
        page = browser[0].new_page(viewport={"width": 900, "height": 700})
        asked = []
        page.on("request", lambda request: asked.append(request.url))
        for one in objects():
            page.set_content(PAGE.format(paper, ink, one._repr_html_()))
            seen = page.evaluate(COLOURS)
            assert seen == ["rgb(0, 0, 0)" if ink == "black" else "rgb(255, 255, 255)"]
        assert not asked
        page.close()


def test_what_is_wider_than_the_cell_scrolls_in_it(browser):
    """A narrow page does not become wider, and what does not fit can be reached."""
    with running(browser[1]):
        page = browser[0].new_page(viewport={"width": 400, "height": 700})
        for one in objects():
            page.set_content(PAGE.format("white", "black", one._repr_html_()))
            assert page.evaluate("document.documentElement.scrollWidth") <= 400
        page.close()
