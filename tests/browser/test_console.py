"""The console in a real JupyterLab."""

import pytest

CELL = """
import asyncsim as sim
scenario = sim.Scenario(
    name="nightly ledger",
    process=sim.Process(
        "order to cash",
        [sim.Step("validate"), sim.AsyncStep("post to ledger", "ledger"), sim.Step("notify")],
        first_activation=30,
    ),
    systems={"ledger": sim.NightlyBatch("22:00", item_time="1s")},
    arrivals=sim.Regular("1min"),
)
session = sim.live(scenario, against=sim.Polling("15min"), hold=True, speed=600)
session.run_until("12:00")
session.console()
"""


@pytest.fixture
def console(notebook):
    """A notebook with a console, and the console."""
    book = notebook(CELL)
    found = book.panel.locator(".asyncsim-console")
    found.wait_for()
    found.locator("tr[data-number]").first.wait_for()
    return book, found


def number_of(widget):
    return widget.get_by_label("serial number", exact=True)


def codes(widget):
    return widget.locator(".asyncsim-log .asyncsim-code").all_inner_texts()


def wait_for_text(book, element, test, text):
    """Wait until the text of an element passes a test in JavaScript."""
    handle = element.element_handle()
    book.page.wait_for_function(f"([e, text]) => e.textContent.{test}", arg=[handle, text])


DESCRIBED = """([field, text]) => {
  const id = field.getAttribute("aria-describedby");
  if (!text) return !id && !field.hasAttribute("aria-invalid");
  return id && field.getAttribute("aria-invalid") === "true"
    && document.getElementById(id).textContent.includes(text);
}"""
BESIDE = """(field) => {
  const line = document.getElementById(field.getAttribute("aria-describedby"));
  return line.getBoundingClientRect().top - field.getBoundingClientRect().bottom;
}"""


def wait_for_problem(book, field, text):
    """Wait until a field is described as wrong, or as right if the text is empty."""
    book.page.wait_for_function(DESCRIBED, arg=[field.element_handle(), text])
    if text:
        assert abs(field.evaluate(BESIDE)) < 40


def test_console_reports_errors_at_their_field(console):
    """Beside the number, the value or the name; typing clears it; the field has the focus."""
    book, widget = console
    keyboard = book.page.keyboard
    number, value = number_of(widget), widget.get_by_label("value of data field 1")
    number.fill("5_3l")
    keyboard.press("Enter")
    wait_for_problem(book, number, "Did you mean '5_31'?")
    keyboard.type("5_31")
    wait_for_problem(book, number, "")
    widget.get_by_label("name of data field 1").fill("order")
    value.fill('{"total": 42')
    keyboard.press("Enter")
    wait_for_problem(book, value, "looks like JSON but is not")
    wait_for_problem(book, number, "")
    assert value.evaluate("(field) => field === document.activeElement")
    book.screenshot("json")
    assert book.barriers(".asyncsim-console") == []
    value.fill('{"total": 42}')
    wait_for_problem(book, value, "")
    widget.get_by_label("name of data field 1").fill("")
    keyboard.press("Enter")
    wait_for_problem(book, widget.get_by_label("name of data field 1"), "needs a name")
    assert book.kernel("print(session.wait('5_31')['state'])") == "waiting"


def test_console_shows_the_new_number_of_a_retry(console):
    """In the notice and in the log, without internals of the kernel."""
    book, widget = console
    number_of(widget).fill("9_31")
    widget.get_by_role("button", name="Retry").click()
    widget.locator(".asyncsim-log li").first.wait_for()
    notice = widget.get_by_role("status").last
    wait_for_text(book, notice, "includes(text)", "Retried: the step now waits as 9_33")
    assert widget.locator("tr[data-number='9_33']").count() == 1
    assert "now waits as 9_33" in widget.locator(".asyncsim-log li").first.inner_text()
    assert "node" not in widget.inner_text()
    book.screenshot("retried")
    widget.get_by_role("button", name="Retry").click()
    wait_for_problem(book, number_of(widget), "tried again as '9_33'")


def test_console_finishes_5_31(console):
    """The record disappears, the kernel has the result, and the twin still waits."""
    book, widget = console
    assert widget.locator("tr[data-number='5_31']").count() == 1
    book.screenshot("before")
    number_of(widget).press_sequentially("5_31")
    widget.get_by_label("name of data field 1").fill("InvoiceNo")
    widget.get_by_label("value of data field 1").fill("42")
    widget.get_by_role("button", name="Finish").click()
    widget.locator(".asyncsim-log li").first.wait_for()
    assert codes(widget) == ["204"]
    assert widget.locator("tr[data-number='5_31']").count() == 0
    assert "still waiting, although the work was complete" in widget.locator("dl").inner_text()
    found = book.kernel("print(session.wait('5_31')['state'], session.instance(5)['fields'])")
    assert found == "finished {'InvoiceNo': 42}"
    book.screenshot("after")
    widget.get_by_role("button", name="Finish").click()
    widget.locator(".asyncsim-log li").nth(1).wait_for()
    assert codes(widget) == ["409", "204"]
    book.kernel("answer = session.finish('6_31')")  # from Python: it is shown too
    widget.locator(".asyncsim-log li").nth(2).wait_for()
    assert widget.locator("tr[data-number='6_31']").count() == 0
    assert book.barriers(".asyncsim-console") == []
    book.theme(dark=True)
    book.screenshot("dark")
    assert book.barriers(".asyncsim-console") == []
    book.theme(dark=False)


def test_console_by_keyboard_alone(console):
    """Enter finishes; a second Enter is a duplicate; the field keeps the focus."""
    book, widget = console
    keyboard = book.page.keyboard
    number_of(widget).focus()
    keyboard.type("7_31")
    keyboard.press("Enter")
    widget.locator(".asyncsim-log li").first.wait_for()
    keyboard.press("Enter")
    widget.locator(".asyncsim-log li").nth(1).wait_for()
    assert codes(widget) == ["409", "204"]
    assert book.page.evaluate("document.activeElement.placeholder") == "5_31"
    keyboard.type("8_3l")  # replaces what was there
    keyboard.press("Enter")
    widget.locator(".asyncsim-log li").nth(2).wait_for()
    assert "Did you mean '8_31'?" in widget.locator(".asyncsim-log li").first.inner_text()
    assert book.kernel("print(session.wait('7_31')['state'])") == "finished"
    widget.locator("tr[data-number='9_31'] button").focus()
    keyboard.press("Enter")
    assert number_of(widget).input_value() == "9_31"
    assert book.page.evaluate("document.activeElement.value") == "9_31"
    widget.get_by_role("button", name="Step").focus()
    cells = book.panel.locator(".jp-Cell").count()
    keyboard.press("a")  # JupyterLab's shortcut for adding a cell
    assert book.panel.locator(".jp-Cell").count() == cells


def test_console_pages_and_filters(console):
    """The kernel filters; the page shows twenty records."""
    _, widget = console
    rows = widget.locator("tr[data-number]")
    assert rows.count() == 20
    widget.get_by_role("button", name="Later").click()
    widget.locator("tr[data-number='21_31']").wait_for()
    widget.get_by_label("find", exact=True).fill("72")
    widget.locator("tr[data-number='72_31']").wait_for()
    assert rows.evaluate_all("rows => rows.map((row) => row.dataset.number)") == [
        *("72_31", "720_31", "721_31")
    ]


def test_console_plays_the_clock(console):
    """Play starts it, pause stops it, and the kernel stays responsive."""
    book, widget = console
    now = widget.locator(".asyncsim-now")
    before = now.inner_text()
    widget.get_by_role("button", name="Play").click()
    wait_for_text(book, now, "localeCompare(text)", before)
    assert book.kernel("print(session.playing)") == "True"
    widget.get_by_role("button", name="Pause").click()
    widget.get_by_role("button", name="Play").wait_for()
    assert book.kernel("print(session.playing)") == "False"
    widget.get_by_role("button", name="To next batch").click()
    wait_for_text(book, now, "endsWith(text)", "21:59:59")
    widget.get_by_label("run until").fill("noon")
    book.page.keyboard.press("Enter")
    wait_for_problem(book, widget.get_by_label("run until"), "must be a clock time")
    assert book.barriers(".asyncsim-console") == []
    widget.get_by_label("run until").fill("22:30:15")
    book.page.keyboard.press("Enter")
    wait_for_text(book, now, "endsWith(text)", "22:30:15")
    wait_for_problem(book, widget.get_by_label("run until"), "")
