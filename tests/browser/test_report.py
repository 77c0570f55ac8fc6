"""A report in a real browser: on a desk, on a phone, in the dark, and on paper."""

import warnings

import pytest
from in_browser import SCREENSHOTS, running

import asyncsim as sim

QUIET = {"replications": 2, "progress": False}
MANY = [
    *(sim.Callback("1s", loss=0.1), sim.Polling("15min"), sim.LongPolling("10min")),
    *(sim.Backoff("1min"), sim.Polling("1min", anchor="clock")),
    sim.CallbackWithSafetyPoll(every="1h"),
]
GRID = {"server.workers": [2, 3], "server.poll_work": [0.0, 0.1]}
TOO_WIDE = """() => {
  const right = document.documentElement.clientWidth;
  return [...document.querySelectorAll("body *")]
    .filter((one) => one.getBoundingClientRect().right > right + 1)
    .filter((one) => !one.closest(".wide, pre") || one.matches(".wide, pre"))
    .map((one) => one.outerHTML.slice(0, 120));
}"""
CUT = """() => {
  const right = document.documentElement.clientWidth;
  return [...document.querySelectorAll("table, td, th, img, pre, figure")]
    .filter((one) => one.getBoundingClientRect().right > right + 1)
    .map((one) => one.outerHTML.slice(0, 120));
}"""
PAPER = {"width": 680, "height": 1000}  # what the margins leave of A4, in CSS pixels


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """A report of many strategies, with losses, an answer and a fit."""
    scenario = sim.Scenario.load("example:capstone")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of a log, and of censored waits
        studies = [
            sim.compare(scenario, MANY, **QUIET),
            sim.sweep(scenario, GRID, MANY[:2], **QUIET),
            sim.fit("example:request_log"),
        ]
        path = tmp_path_factory.mktemp("report") / "r.html"
        return sim.report(studies, path, title="Waiting for the ledger", purpose="to look at it")


@pytest.fixture
def opened(browser, report):
    """Return what opens the report in a new page, which may request nothing else."""
    pages, requests, complaints = [], [], []

    def open_page(width, scheme="light"):
        viewport = {"width": width, "height": 900}
        page = browser[0].new_page(viewport=viewport, color_scheme=scheme)
        pages.append(page)
        page.on("request", lambda request: requests.append(request.url))
        page.on("console", lambda message: complaints.append(message.text))
        page.goto(report.as_uri())
        return page

    with running(browser[1]):
        yield open_page
        for page in pages:
            page.close()
    outside = [one for one in requests if not one.startswith(("data:", report.as_uri()))]
    assert not outside
    assert not complaints


def shot(page, what):
    """Write a picture for a person to look at."""
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SCREENSHOTS / f"report_{what}.png", full_page=True)


@pytest.mark.parametrize("width", [400, 850, 1400])
def test_nothing_sticks_out_of_a_screen(opened, width):
    """What is wider than the screen scrolls by itself; the page does not."""
    page = opened(width)
    shot(page, str(width))
    assert page.evaluate(TOO_WIDE) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    for image in page.locator("img").all():
        assert image.evaluate("(one) => one.complete && one.naturalWidth > 0")


def test_the_first_screen_has_findings_and_picture(opened):
    """Of a usual window, without scrolling."""
    page = opened(850)
    for selector in ("h1", ".purpose", ".findings li"):
        assert page.locator(selector).first.bounding_box()["y"] < 400, selector
    assert page.locator("img").first.bounding_box()["y"] < 900


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_there_are_no_barriers(opened, scheme):
    """Contrast, texts of pictures, headings and tables, in both colour schemes."""
    from axe_playwright_python.sync_playwright import Axe

    page = opened(850, scheme)
    shot(page, scheme)
    rules = {"runOnly": ["wcag2a", "wcag2aa"]}
    found = Axe().run(page, options=rules).response["violations"]
    assert [(one["id"], one["nodes"][0]["html"][:200]) for one in found] == []
    dark = page.evaluate("matchMedia('(prefers-color-scheme: dark)').matches")
    assert dark == (scheme == "dark")
    card = page.locator("figure").first
    assert card.evaluate("(one) => getComputedStyle(one).backgroundColor") == "rgb(255, 255, 255)"


def test_paper_cuts_nothing_and_shows_what_a_screen_folds(opened):
    """Tables fit on A4, links are written out, and tables to download are left out."""
    page = opened(PAPER["width"])
    page.emulate_media(media="print")
    page.set_viewport_size(PAPER)
    shot(page, "paper")
    assert page.evaluate(CUT) == []
    assert page.locator("details.all").first.is_hidden()
    assert page.locator(".paper").first.is_visible()
    link = page.locator("a[href^=http]")
    written = link.evaluate("(one) => getComputedStyle(one, '::after').content")
    assert "doi.org" in str(written)
    pdf = page.pdf(prefer_css_page_size=True, print_background=True)
    assert pdf.startswith(b"%PDF")
    assert 5 < pdf.count(b"/Type /Page\n") < 40


def test_a_table_that_is_cut_shows_that_it_scrolls(opened):
    """A shadow lies at the edge behind which there is more; paper has the definitions as well."""
    page = opened(400)
    cut = page.locator(".wide").first
    assert "gradient" in cut.evaluate("(one) => getComputedStyle(one).backgroundImage")
    page.emulate_media(media="print")
    assert page.locator(".paper", has_text="What the metrics mean").first.is_visible()
