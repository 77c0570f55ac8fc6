"""Names and values that are markup stay text, wherever a browser shows them.

They come from scenario files, logs and clients, whose authors could otherwise run a script in the
reader's page.
"""

import base64
import warnings

import attrs
import pandas as pd
import pytest
from in_browser import running

import asyncsim as sim
from asyncsim.exercises.feedback import Feedback, Judgement, Mark, Remark
from asyncsim.model.profiles import PROFILES
from asyncsim.widgets.explorer import Explorer

RUN = "window.hacked=1"
MARKUP = (
    f"<img src=x class=hacked onerror=\"{RUN}\">\"><svg class=hacked onload='{RUN}'>'>"
    f"</title></pre></textarea></script><script class=hacked>{RUN}</script>"
    f"<a class=hacked href='javascript:{RUN}'>x</a>{{{{{RUN}}}}}javascript:{RUN}"
)
HARMED = """() => ({
  ran: window.hacked !== undefined,
  elements: [...document.querySelectorAll(".hacked, [onerror], [onload], [href^=javascript]")]
    .map((one) => one.outerHTML),
})"""
RENDER = """async ([source, state, messages]) => {
  const widget = (await import(`data:text/javascript;base64,${source}`)).default;
  const listeners = [];
  const model = {
    get: (name) => state[name],
    on: (name, act) => name === "msg:custom" && listeners.push(act),
    off: () => {},
    send: () => {},
  };
  widget.render({ model, el: document.body });
  for (const [message, buffers] of messages)
    for (const act of listeners)
      act(message, buffers.map((one) => new DataView(Uint8Array.from(one).buffer)));
}"""
QUIET = {"replications": 2, "progress": False}


def hostile(word):
    """Return a name that is markup."""
    return word + MARKUP


class Shown(str):
    """HTML that an object showed while it was open."""

    __slots__ = ()
    _repr_html_ = str.__str__


class Checks(sim.Polling):
    """A strategy with a hostile label."""

    @property
    def label(self):
        return hostile("strategy")


def scenario():
    """Return a scenario of hostile names."""
    ways = [
        sim.Branch(0.5, [sim.Step(hostile("sort"))], when={hostile("field"): hostile("value")}),
        sim.Branch(0.5, [sim.Step(hostile("file"))]),
    ]
    steps = [sim.AsyncStep(hostile("post"), hostile("ledger")), sim.Choice(hostile("way"), ways)]
    return sim.Scenario(
        name=hostile("scenario"),
        process=sim.Process(hostile("process"), steps),
        systems={hostile("ledger"): sim.OnlineService("100ms")},
        arrivals=sim.UniformArrivals(30, between=("08:00", "20:00")),
    )


@pytest.fixture
def plain_page(browser):
    """An empty page of its own, and Playwright's loop running while a test uses it."""
    with running(browser[1]):
        page = browser[0].new_page()
        page.set_default_timeout(30_000)
        yield page
        page.close()


def assert_unharmed(page):
    """Check that no script ran and the page has no element of the markup."""
    page.wait_for_timeout(100)  # a picture fails to load a moment later
    assert page.evaluate(HARMED) == {"ran": False, "elements": []}


def test_the_harness_sees_what_runs(plain_page):
    """Unescaped markup does harm, so that these tests can fail."""
    plain_page.set_content(MARKUP)
    plain_page.wait_for_function("window.hacked === 1")
    assert len(plain_page.evaluate(HARMED)["elements"]) >= 3


def test_the_description_of_an_endpoint(plain_page):
    """The page of /docs, which asks for no token."""
    with sim.live(scenario(), hold=True) as session:
        endpoint = session.serve(thread=True)
        plain_page.goto(f"{endpoint.url}/docs")
        plain_page.locator(".opblock").first.wait_for()
        assert_unharmed(plain_page)
        assert MARKUP in plain_page.title()
        assert MARKUP in plain_page.locator(".info .title").inner_text()


def log_of(folder):
    """Write a log whose values are markup; return its file, which has a hostile name as well."""
    start = pd.date_range("2026-03-02 09:00", periods=40, freq="7min")
    table = pd.DataFrame(
        {"SN": [f"{k}_31" for k in range(1, 41)], "submitted": start, "completed": start}
    )
    table["completed"] += pd.to_timedelta([60 + 7 * (k % 5) for k in range(40)], "s")
    table[hostile("column")] = hostile("value")
    table = table.astype(str)
    table.loc[39, "SN"], table.loc[38, "completed"] = hostile("SN"), hostile("soon")
    path = folder / f"log{MARKUP.replace('/', '_')[:150]}.csv"
    table.to_csv(path, index=False)
    return path


def shown_in_notebooks(folder):
    """Return one result of each kind that shows itself as HTML."""
    played, pair = scenario(), [sim.Callback("1s"), Checks("5min")]
    fitted = sim.fit(log_of(folder))
    wrong = Remark(False, hostile("`answer`"))
    feedback = Feedback(
        hostile("e"), Judgement(Mark.NOT_YET, (wrong,)), (hostile("hint"),), 0, MARKUP
    )
    studies = [
        sim.compare(played, pair, **QUIET),
        sim.sweep(played, {"server.workers": [1, 2]}, pair, **QUIET),
        sim.fewest_workers(played, pair[0], "max_latency <= 20s", **QUIET),
        sim.frontier(played, pair, **QUIET),
        sim.replications_for(played, pair, precision=0.5, progress=False),
        fitted,
    ]
    profile = attrs.evolve(PROFILES["k2"], name=MARKUP)
    run = sim.simulate(played, pair[1])
    with sim.live(played, hold=True, against=pair[1]) as session:
        session.run_until("12:00")
        number = session.page()[1]["serial_number"].iloc[0]
        session.finish(number, {hostile("field"): hostile("value")})
        endpoint = session.serve(thread=True)
        live = [Shown(session._repr_html_()), Shown(endpoint._repr_html_())]
        tables = [session.waiting, session.answers, session.beside(number), run.waits, run.steps]
    prices = sim.CostModel(check=1, currency=MARKUP, source=MARKUP)
    described = [played, pair[1], profile, prices, *live]
    return studies, [*studies, *described, run, feedback, fitted.scenario, *tables]


def test_results_in_a_notebook_and_in_a_report(plain_page, tmp_path):
    """Each is HTML of its own."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of a log, and of censored waits
        studies, results = shown_in_notebooks(tmp_path)
        words = ("title", "purpose", "sources", "preprocessing", "assumptions", "sharing")
        report = sim.report(studies, tmp_path / "r.html", **{word: hostile(word) for word in words})
    for result in results:
        if hasattr(result, "_repr_html_"):
            plain_page.set_content(result._repr_html_())
            assert_unharmed(plain_page)
            assert plain_page.locator("body").inner_text().strip()
    plain_page.goto(report.as_uri())
    assert_unharmed(plain_page)
    assert MARKUP in plain_page.locator("h1").inner_text()


def rendered(page, widget, names, messages=()):
    """Show a widget in an empty page, as a notebook would."""
    state = {name: getattr(widget, name) for name in names}
    source = base64.b64encode(widget._esm.encode()).decode()
    page.set_content("<body></body>")
    page.evaluate(RENDER, [source, state, [[m, [list(b) for b in bs]] for m, bs in messages]])
    assert_unharmed(page)
    return page.locator("body").inner_text()


def test_the_widgets(plain_page):
    """Console, view and explorer."""
    with sim.live(scenario(), hold=True, against=Checks("5min")) as session:
        session.run_until("12:00")
        console, view = session.console(), session.view()
        number = session.page()[1]["serial_number"].iloc[-1]
        fields = [[hostile("field"), hostile("value")]]
        console.on_message({"do": "finish", "number": number, "fields": fields})
        console.on_message({"do": "finish", "number": hostile("number"), "fields": fields})
        console.on_message({"do": "choose", "number": number})
        console.on_message({"do": "until", "moment": hostile("noon")})
        console.refresh()
        both = ["choices", "clock", "notice", "problems"]
        shown = rendered(plain_page, console, [*both, "records", "twin_states", "answers"])
        for word in ("scenario", "post", "ledger", "strategy", "number", "value", "noon"):
            assert hostile(word)[:20] in shown, word
        shown = rendered(plain_page, view, [*both, "plan", "process"], [view.picture()])
        for word in ("scenario", "post", "sort", "strategy"):
            assert hostile(word)[:20] in shown, word
    explorer = Explorer(sim.Scenario.load("data/nightly_ledger.toml").replace(name=MARKUP))
    assert MARKUP in rendered(plain_page, explorer, ["state"])
