"""The console without a browser: messages in, state out."""

import asyncio

import pytest

import asyncsim as sim
from asyncsim.widgets.console_state import ROWS, fields_of, lasting


def ledger(instances=20, **more):
    """Return a session in which so many orders wait, instance k as ``k_31``."""
    scenario = sim.Scenario(
        name="ledger",
        process=sim.Process(
            "order", [sim.Step("check"), sim.AsyncStep("post", "ledger")], first_activation=30
        ),
        systems={"ledger": sim.NightlyBatch("22:00", item_time="1s")},
        arrivals=sim.Regular("1s"),
        length=float(instances),
    )
    session = sim.live(scenario, against=sim.Polling("15min"), hold=True, **more)
    session.run_until(float(instances))
    return session


def say(widget, do, **more):
    """Send what the page would send."""
    widget._hear(widget, {"do": do, **more}, [])


def numbers(widget):
    """Return the serial numbers on the page."""
    return [row["number"] for row in widget.state["rows"]]


def test_a_finish_takes_the_record_away_and_is_logged():
    """204, then 409; the twin is still waiting."""
    session = ledger()
    console = session.console()
    assert "5_31" in numbers(console)
    say(console, "finish", number=" 5_31 ", fields=[["InvoiceNo", "42"], ["", "x"]])
    assert "5_31" not in numbers(console)
    assert session.instance(5)["fields"] == {"InvoiceNo": 42}
    say(console, "finish", number="5_31")
    assert [line["code"] for line in console.state["log"]] == [409, 204]
    beside = console.state["beside"]
    assert beside["number"] == "5_31"
    assert [row["says"].split(",")[0] for row in beside["rows"]] == [
        "resumed at 00:00:20",
        "still waiting",
    ]


@pytest.mark.parametrize(
    ("number", "code", "words"),
    [("5_32", 404, "Check the number"), ("", 404, "Check the number"), ("x' or 1", 404, "unknown")],
)
def test_a_wrong_number_is_told_what_to_do(number, code, words):
    """And nothing else happens."""
    console = ledger().console()
    say(console, "finish", number=number)
    line = console.state["log"][0]
    assert (line["code"], words in line["text"]) == (code, True)
    assert console.state["total"] == 20


def test_ten_thousand_records_are_a_page_of_a_few():
    """The page is turned and filtered in the kernel."""
    console = ledger(10_000).console()
    assert console.state["total"] == console.state["waiting"] == 10_000
    assert len(console.state["rows"]) == ROWS
    say(console, "show", first=9996)
    assert numbers(console) == ["9997_31", "9998_31", "9999_31", "10000_31"]
    say(console, "show", like="777")
    assert numbers(console) == ["777_31", *(f"{k}_31" for k in range(7770, 7780))]
    say(console, "finish", number="777_31")
    assert console.state["total"] == 10


def test_a_page_that_has_emptied_gives_way_to_the_last_one():
    """Somebody else finished all that was on it."""
    session = ledger(ROWS + 1)
    console = session.console()
    say(console, "show", first=ROWS)
    session.finish(f"{ROWS + 1}_31")
    assert numbers(console)[0] == "1_31"


def test_the_clock_is_in_its_hands():
    """Step, run, the next batch, the speed; what cannot be is said."""
    session = ledger()
    console = session.console()
    say(console, "run until", moment="12:30")
    assert console.state["now"] == "Mon 2026-01-05 12:30:00"
    say(console, "next batch")
    assert console.state["now"] == "Mon 2026-01-05 21:59:59"
    say(console, "speed", value=60)
    assert session.speed == console.state["speed"] == 60
    say(console, "run until", moment="noon")
    assert "must be a clock time such as '22:00'" in console.state["message"]
    say(console, "play")
    assert "needs a running event loop" in console.state["message"]
    say(console, "step")
    assert console.state["message"] in ("", "Nothing will happen any more by itself.")


def test_what_programs_do_is_seen_as_well():
    """A finish over REST or from Python takes the record off the page."""
    session = ledger()
    console = session.console()
    session.finish("5_31")
    assert "5_31" not in numbers(console)


def test_an_operator_tries_again_and_starts_instances():
    """Both are in the log, with the new number."""
    console = ledger().console()
    say(console, "retry", number="5_31")
    assert "5_32" in numbers(console)
    say(console, "start", fields=[["customer", "Ann"]])
    assert console.state["total"] == 21
    assert [line["text"] for line in console.state["log"]] == [
        "instance 21 started",
        "tried again; it waits as 5_32",
    ]
    say(console, "retry", number="5_31")
    assert "was tried again as '5_32'" in console.state["message"]


def test_pictures_come_ten_times_a_second_at_most():
    """However often something happens while the clock runs."""

    async def watch():
        session = ledger(speed=100.0)
        console = session.console()
        pictures = []
        console.observe(lambda change: pictures.append(change), "state")
        for k in range(1, 15):
            session.finish(f"{k}_31")
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.2)
        return console, pictures

    console, pictures = asyncio.run(watch())
    assert 1 <= len(pictures) <= 4
    assert console.state["total"] == 6


def test_data_fields_are_read_as_a_person_writes_them():
    """JSON where it is JSON, text elsewhere; nothing is no field."""
    rows = [
        ("n", "42"),
        ("ok", "true"),
        ("who", "Ann"),
        ("list", "[1, 2]"),
        (" ", "x"),
        ("s", '"1"'),
    ]
    assert fields_of(rows) == {"n": 42, "ok": True, "who": "Ann", "list": [1, 2], "s": "1"}
    assert fields_of([]) is None


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (0.05, "0.05 s"), (42, "42 s"), (90, "2 min"), (5400, "90 min"), (28800, "8.0 h")],
)
def test_lengths_of_time_are_said_shortly(seconds, text):
    """As a person would."""
    assert lasting(seconds) == text
