"""The view in a real JupyterLab."""

SIMPLE = """
import asyncsim as sim
arrivals = sim.UniformArrivals(1000, between=("08:00", "20:00"))
scenario = sim.Scenario.load({path!r}).replace(arrivals=arrivals)
session = sim.live(scenario, against=sim.Polling("15min"), speed=600, seed=1)
session.run_until("19:00")
session.view()
"""
BRANCHES = """
import asyncsim as sim
steps = [
    sim.Step("validate", work=sim.exponential("20s")),
    sim.Choice("known?", [(0.7, [sim.Step("rate")]), (0.3, [sim.AsyncStep("ask", "people")])]),
    sim.Parallel(
        "both",
        [
            [sim.AsyncStep("post", "ledger")],
            [sim.Step("print", work="3s"), sim.AsyncStep("ship", "people", timeout="4h")],
        ],
    ),
    sim.Step("notify"),
]
people = sim.OnlineService(sim.exponential("2h"), lanes=None)
scenario = sim.Scenario(
    name="branches",
    process=sim.Process("order to cash", steps),
    systems={"ledger": sim.NightlyBatch(start="22:00", item_time="150ms"), "people": people},
    arrivals=sim.Poisson("1000/day", between=("08:00", "20:00")),
)
session = sim.live(scenario, against=sim.Polling("15min"), speed=600, seed=1)
session.run_until("15:00")
session.view()
"""
PIXELS = "(canvas) => canvas.toDataURL()"
BLANK = """(canvas) => {
  const empty = document.createElement("canvas");
  [empty.width, empty.height] = [canvas.width, canvas.height];
  return empty.toDataURL();
}"""


def shown(book, cell):
    """Return the view of a notebook with one cell, once it has been drawn."""
    opened = book(cell)
    widget = opened.panel.locator(".asyncsim-view")
    widget.locator("canvas").nth(1).wait_for()
    wait_for_frames(opened, widget, 0)
    return opened, widget


def wait_for_frames(book, widget, more_than):
    script = "([element, n]) => Number(element.dataset.frames ?? 0) > n"
    book.page.wait_for_function(script, arg=[widget.element_handle(), more_than])


def test_view_moves_as_the_clock_runs(notebook, pytestconfig):
    """The canvas changes as time passes, and its numbers agree with the session."""
    path = str(pytestconfig.rootpath / "data" / "nightly_ledger.toml")
    book, widget = shown(notebook, SIMPLE.format(path=path))
    canvas = widget.locator("canvas")
    assert canvas.count() == 2
    before = canvas.first.evaluate(PIXELS)
    assert before != canvas.first.evaluate(BLANK)
    book.screenshot("before_batch")
    book.kernel("session.run_until('22:01')")
    waiting = book.kernel("print(*(session.lane(label).waiting for label in session.strategies))")
    for k, number in enumerate(waiting.split()):
        line = widget.locator(".asyncsim-says").nth(k)
        text = f": {int(number):,} waiting"
        book.page.wait_for_function(
            "([element, text]) => element.textContent.includes(text)",
            arg=[line.element_handle(), text],
        )
        assert widget.locator(".asyncsim-places tbody tr").nth(k).locator(
            "td"
        ).first.inner_text() == (f"{int(number):,}")
    assert canvas.first.evaluate(PIXELS) != before
    book.page.wait_for_timeout(800)  # until all have settled, for the picture
    book.screenshot("during_batch")
    assert book.barriers(".asyncsim-view") == []
    widget.get_by_role("button", name="Play").focus()
    book.page.keyboard.press("Space")
    frames = int(widget.get_attribute("data-frames"))
    wait_for_frames(book, widget, frames + 20)
    assert book.kernel("print(session.playing)") == "True"
    widget.get_by_role("button", name="Pause").click()
    book.page.wait_for_timeout(800)  # until all have settled
    frames = int(widget.get_attribute("data-frames"))
    book.theme(dark=True)
    wait_for_frames(book, widget, frames)  # drawn anew in other colours
    book.screenshot("dark")
    assert book.barriers(".asyncsim-view") == []
    book.theme(dark=False)


RECORD = """() => {
  // What is drawn in circles (checks) and filled triangles (callbacks), with its height
  const drawn = window.drawn = { check: [], callback: [] };
  const { arc, fill, moveTo, lineTo, beginPath } = CanvasRenderingContext2D.prototype;
  const path = CanvasRenderingContext2D.prototype;
  let points = [];
  path.beginPath = function () { points = []; return beginPath.call(this); };
  path.moveTo = function (x, y) { points.push([x, y]); return moveTo.call(this, x, y); };
  path.lineTo = function (x, y) { points.push([x, y]); return lineTo.call(this, x, y); };
  path.arc = function (...given) { drawn.check.push(given[1]); return arc.call(this, ...given); };
  path.fill = function () {
    if (points.length === 3) drawn.callback.push(points[0][1]);
    return fill.call(this);
  };
}"""


def heights(book, kind):
    """Return the heights at which marks of a kind were drawn, frame by frame."""
    return book.page.evaluate("(kind) => window.drawn[kind].splice(0)", kind)


def test_view_shows_the_outside_and_what_moves(notebook, pytestconfig):
    """Checks go there and back, callbacks come; with less motion they stand still."""
    path = str(pytestconfig.rootpath / "data" / "nightly_ledger.toml")
    book, widget = shown(notebook, SIMPLE.format(path=path))
    legend = widget.locator(".asyncsim-legend").inner_text()
    for word in ("check", "callback", "lost", "external system", "waits", "failed"):
        assert word in legend
    label = widget.locator("canvas").first.get_attribute("aria-label")
    assert "outside, ledger: next batch starts Mon 05 Jan 22:00, 0 in progress, " in label
    book.page.evaluate(RECORD)
    book.kernel("session.run_for('15min')")
    book.page.wait_for_function("window.drawn.check.length > 60")
    book.screenshot("checks")
    book.page.wait_for_timeout(900)
    assert heights(book, "callback") == []
    checks = heights(book, "check")
    assert max(checks) - min(checks) > 20
    book.kernel("session.run_until('22:00:05')")
    book.page.wait_for_function("window.drawn.callback.length > 40")
    book.screenshot("callbacks")
    book.page.wait_for_timeout(2100)  # a screen reader finds changes every two seconds
    book.kernel("session.run_for('1s')")
    book.page.wait_for_function(
        "(canvas) => canvas.getAttribute('aria-label').includes('batch running')",
        arg=widget.locator("canvas").first.element_handle(),
    )
    book.page.wait_for_timeout(900)
    callbacks = heights(book, "callback")
    assert max(callbacks) - min(callbacks) > 20
    assert book.barriers(".asyncsim-view") == []
    book.page.emulate_media(reduced_motion="reduce")
    heights(book, "check")
    book.kernel("session.run_for('5s')")
    book.page.wait_for_function("window.drawn.callback.length > 10")
    book.page.wait_for_timeout(900)
    assert len(set(heights(book, "callback"))) == 1
    book.page.emulate_media(reduced_motion="no-preference")


def test_view_is_reset(notebook, pytestconfig):
    """It starts from the beginning, with an empty chart."""
    path = str(pytestconfig.rootpath / "data" / "nightly_ledger.toml")
    book, widget = shown(notebook, SIMPLE.format(path=path))
    widget.get_by_role("button", name="Play").click()
    widget.get_by_role("button", name="Reset").click()
    widget.get_by_role("button", name="Play").wait_for()
    now = widget.locator(".asyncsim-now").element_handle()
    book.page.wait_for_function("(e) => e.textContent.endsWith(' 00:00:00')", arg=now)
    assert book.kernel("print(session.now, session.playing)") == "0.0 False"
    book.page.wait_for_timeout(800)
    book.screenshot("anew")


def test_view_of_a_store_is_not_reset(notebook, pytestconfig, tmp_path):
    """The button is disabled, and its tooltip gives the reason."""
    cell = SIMPLE.format(path=str(pytestconfig.rootpath / "data" / "nightly_ledger.toml"))
    cell = cell.replace("seed=1", f"seed=1, store={str(tmp_path / 's.db')!r}")
    _, widget = shown(notebook, cell)
    reset = widget.get_by_role("button", name="Reset")
    assert reset.is_disabled()
    assert "would delete the journal" in reset.get_attribute("title")


def test_view_of_choices_and_parallel_branches(notebook):
    """Every place is drawn, and named in the table."""
    book, widget = shown(notebook, BRANCHES)
    names = widget.locator(".asyncsim-places thead th").all_inner_texts()
    assert names == [
        *("strategy", "waiting records", "validate", "rate", "ask", "post", "print", "ship"),
        *("notify", "done", "failed"),
    ]
    book.page.wait_for_timeout(800)  # until all have settled, for the picture
    widget.locator("canvas").first.evaluate("(canvas) => canvas.scrollIntoView()")
    book.page.wait_for_timeout(300)
    book.screenshot("branches")
    label = widget.locator("canvas").first.get_attribute("aria-label")
    assert label.startswith("order to cash under callback: ")
    assert "; outside, people: " in label
    assert "; outside, ledger: next batch starts " in label
