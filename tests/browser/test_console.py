"""The console in a real JupyterLab."""

import pytest

pytestmark = pytest.mark.xdist_group("browser")
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
    return book, found


def test_console_finishes_5_31(console):
    """Typed and finished: the record is gone, the kernel saw it, the twin still waits."""
    book, widget = console
    number = widget.get_by_label("serial number", exact=True)
    assert widget.locator("tr[data-number='5_31']").count() == 1
    book.screenshot("before")
    number.press_sequentially("5_31")
    widget.get_by_label("name of data field 1").fill("InvoiceNo")
    widget.get_by_label("value of data field 1").fill("42")
    widget.get_by_role("button", name="Finish").click()
    widget.locator(".asyncsim-log li").first.wait_for()
    assert "204" in widget.locator(".asyncsim-log li").first.inner_text()
    assert widget.locator("tr[data-number='5_31']").count() == 0
    assert "still waiting, next check at" in widget.locator(".asyncsim-beside").inner_text()
    said = book.kernel("print(session.wait('5_31')['state'], session.instance(5)['fields'])")
    assert said == "finished {'InvoiceNo': 42}"
    book.screenshot("after")
    book.theme(dark=True)
    book.screenshot("dark")
    book.theme(dark=False)


def test_console_by_keyboard_alone(console):
    """Type, Enter; Enter again is a second finish, and is told so."""
    book, widget = console
    number = widget.get_by_label("serial number", exact=True)
    number.focus()
    book.page.keyboard.type("7_31")
    book.page.keyboard.press("Enter")
    widget.locator(".asyncsim-log li").first.wait_for()
    book.page.keyboard.press("Enter")
    widget.locator(".asyncsim-log li").nth(1).wait_for()
    codes = widget.locator(".asyncsim-log .asyncsim-code").all_inner_texts()
    assert codes == ["409", "204"]
    assert book.page.evaluate("document.activeElement.placeholder") == "5_31"


def test_console_plays_the_clock(console):
    """Play moves it, pause stops it, and the kernel answers all the while."""
    book, widget = console
    now = widget.locator(".asyncsim-now")
    before = now.inner_text()
    widget.get_by_role("button", name="Play").click()
    book.page.wait_for_function(
        "([element, text]) => element.textContent !== text", arg=[now.element_handle(), before]
    )
    assert book.kernel("print(session.playing)") == "True"
    widget.get_by_role("button", name="Pause").click()
    widget.get_by_role("button", name="Play").wait_for()
    assert book.kernel("print(session.playing)") == "False"
    widget.get_by_role("button", name="To next batch").click()
    book.page.wait_for_function(
        "(element) => element.textContent.endsWith('21:59:59')", arg=now.element_handle()
    )
