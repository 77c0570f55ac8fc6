"""The console without a browser: messages from a page, and the traits sent to it."""

import asyncio
import threading

import pytest

import asyncsim as sim
from asyncsim.model.profiles import PROFILES
from asyncsim.widgets.console import fields_of, value_of


def orders(n=10, **server):
    """Return a scenario in which instance k arrives in second k - 1 and waits as ``k_31``."""
    steps = [sim.Step("read"), sim.AsyncStep("post", system="ledger"), sim.Step("notify")]
    return sim.Scenario(
        name="orders",
        process=sim.Process("order to cash", steps, first_activation=30),
        systems={"ledger": sim.NightlyBatch(start="22:00", item_time="150ms")},
        arrivals=sim.Regular("1s"),
        length=float(n),
        server=sim.WorkflowServer(**server),
    )


def opened(n=10, *, until=None, **more):
    """Return a console over a session in which all instances wait."""
    more = {"against": sim.Polling("15min"), "hold": True} | more
    session = sim.live(more.pop("scenario", None) or orders(n), **more)
    session.run_until(float(n) if until is None else until)
    return session.console()


def numbers(console):
    return [row[0] for row in console.records["rows"]]


def codes(console):
    return [entry["code"] for entry in console.answers]


def sent(console, monkeypatch):
    """Return a list that records the traits sent to the page."""
    traits = []
    monkeypatch.setattr(console, "send_state", lambda key=None: traits.append(set(key or ())))
    return traits


class TestFinishing:
    def test_a_finish_removes_the_record_and_is_answered_204(self):
        """Its data fields are stored, JSON as JSON and text as text."""
        console = opened()
        assert "5_31" in numbers(console)
        fields = [["InvoiceNo", "42"], ["by", "Ann"], ["", ""]]
        console.on_message({"do": "finish", "number": " 5_31 ", "fields": fields})
        assert "5_31" not in numbers(console)
        assert console.records["waiting"] == console.records["total"] == 9
        assert codes(console) == [204]
        assert console.answers[0]["words"] == "5_31 is finished; its process resumes."
        found = console.session.wait("5_31")
        assert (found["state"], found["data"]) == ("finished", {"InvoiceNo": 42, "by": "Ann"})

    def test_a_second_finish_gets_409(self):
        """With advice on what to do."""
        console = opened()
        for _ in range(2):
            console.on_message({"do": "finish", "number": "5_31"})
        assert codes(console) == [409, 204]
        assert "Nothing to do" in console.answers[0]["words"]

    def test_an_unknown_number_gets_404_and_a_suggestion(self):
        """The nearest number that waits."""
        console = opened()
        console.on_message({"do": "finish", "number": "5_3l"})
        assert codes(console) == [404]
        assert "Did you mean '5_31'?" in console.answers[0]["words"]

    def test_late_and_early_finishes_have_their_own_answers(self):
        """Late is 410, early 409."""
        steps = [sim.AsyncStep("post", "ledger", timeout="1min", arm_delay="5s")]
        late = sim.Scenario(
            name="late",
            process=sim.Process("p", steps),
            systems={"ledger": sim.OnlineService("1h", lanes=None)},
            arrivals=sim.ArrivalTimes([0.0]),
            length=1.0,
        )
        console = opened(scenario=late, until=1.0)
        console.on_message({"do": "finish", "number": "1_1"})
        console.on_message({"do": "until", "moment": "12:00"})
        console.on_message({"do": "finish", "number": "1_1"})
        assert codes(console) == [410, 409]

    def test_a_profile_has_its_own_codes(self):
        """The log shows the code that a client would receive."""
        name = next(
            k for k, p in PROFILES.items() if str(p.statuses.get("duplicate")).startswith("400")
        )
        console = opened(profile=name)
        for _ in range(2):
            console.on_message({"do": "finish", "number": "5_31"})
        assert codes(console) == [400, 204]

    @pytest.mark.parametrize(
        ("number", "fields", "field", "text"),
        [
            ("  ", [], "number", "a serial number is needed"),
            ("5_31", [["a", "1"], ["", "42"]], "name 2", "needs a name"),
            ("5_31", [["a", "1"], ["", ""], ["a", "2"]], "name 3", "'a' is given twice"),
            ("5_31", [["a", '{"b": 1']], "value 1", "looks like JSON but is not"),
            ("5_31", [["a", "[" * 5000]], "value 1", "looks like JSON but is not"),
            ("5_31", [["a", "[1, NaN]"]], "value 1", "looks like JSON but is not"),
            ("5_31", [["a", "1e999"]], "fields", "what JSON can"),
        ],
    )
    def test_invalid_input_is_reported_at_its_field(self, number, fields, field, text):
        """Nothing is finished, and the next attempt clears the message."""
        console = opened()
        console.on_message({"do": "finish", "number": number, "fields": fields})
        assert list(console.problems) == [field]
        assert text in console.problems[field]
        assert console.notice == ""
        assert codes(console) == []
        console.on_message({"do": "choose", "number": "5_31"})
        assert list(console.problems) == [field]  # selecting a record keeps it
        console.on_message({"do": "finish", "number": "5_31"})
        assert console.problems == {}

    def test_a_rejected_number_is_reported_at_its_field_too(self):
        """With the words of the log; a finish that is accepted without effect is not an error."""
        console = opened()
        for number, text in (("5_3l", "Did you mean '5_31'?"), ("77_31", "has not started yet")):
            console.on_message({"do": "finish", "number": number})
            assert text in console.problems["number"]
            console.on_message({"do": "retry", "number": number})
            assert "is not known" in console.problems["number"]
        console.on_message({"do": "finish", "number": "5_31"})
        assert console.problems == {}
        console.on_message({"do": "retry", "number": "5_31"})
        assert "gone on from there" in console.problems["number"]
        kind = opened(5, scenario=orders(5, policy=sim.FinishPolicy(duplicate="accept")))
        for _ in range(2):
            kind.on_message({"do": "finish", "number": "5_31"})
        assert kind.problems == {}

    def test_calls_from_python_are_in_the_log_too(self):
        """Finishes, starts and retries."""
        console = opened()
        session = console.session
        session.finish("5_31", strict=False)
        session.start({"amount": 7})
        console.on_message({"do": "retry", "number": "6_31"})
        assert codes(console) == [200, 201, 204]
        assert console.notice == "Retried: the step now waits as 6_33"
        assert console.answers[0]["words"] == "6_31 was retried; the step now waits as 6_33."
        assert console.answers[0]["data"] == ""
        assert "6_33" in numbers(console)

    def test_an_operator_starts_an_instance(self):
        """With the data fields of the form."""
        console = opened()
        console.on_message({"do": "start", "fields": [["amount", "7"]]})
        assert console.notice == "Instance 11 has started"
        assert console.session.instance(11)["fields"] == {"amount": 7}

    def test_a_reset_clears_the_log_and_the_records(self):
        """No earlier answer is left, even if the page asks late."""
        console = opened()
        console.on_message({"do": "finish", "number": "5_31"})
        console.on_message({"do": "reset"})
        assert (codes(console), console.records["total"]) == ([], 1)
        console.on_message({"do": "until", "moment": "00:01"})
        console.on_message({"do": "finish", "number": "5_3l"})
        assert codes(console) == [404]


class TestLooking:
    def test_ten_thousand_records_are_shown_in_pages(self):
        """A start beyond the end shows the last page."""
        console = opened(10_000, against=())
        assert len(numbers(console)) == 20
        assert console.records["total"] == 10_000
        console.on_message({"do": "turn", "like": "", "first": 40})
        assert numbers(console)[0] == "41_31"
        console.on_message({"do": "turn", "like": "", "first": 20_000})
        assert numbers(console) == [f"{k}_31" for k in range(9981, 10_001)]
        console.on_message({"do": "turn", "like": "999", "first": 0})
        assert console.records["total"] == 11
        assert numbers(console)[0] == "999_31"

    def test_the_twin_is_shown_beside_a_chosen_number(self):
        """Under polling the step still waits after it was finished."""
        console = opened()
        console.on_message({"do": "choose", "number": "5_31"})
        assert console.twin_states["rows"][0] == ["callback", "still waiting"]
        console.on_message({"do": "finish", "number": "5_31"})
        (_, main), (_, twin) = console.twin_states["rows"]
        assert main == "resumed at 00:00:10, the moment the work was complete"
        assert twin == (
            "still waiting, although the work was complete at 00:00:10; next check 00:15:04"
        )
        console.on_message({"do": "until", "moment": "00:20"})
        (_, twin) = console.twin_states["rows"][1]
        assert twin == "resumed at 00:15:04, 14.9 min after the work was complete (1 check)"
        console.on_message({"do": "choose", "number": "none"})
        assert console.twin_states["rows"] == []

    def test_only_what_has_changed_is_sent(self, monkeypatch):
        """An advance of the clock sends the clock, a finish sends more."""
        console = opened()
        traits = sent(console, monkeypatch)
        console.on_message({"do": "until", "moment": "01:00"})
        assert set().union(*traits) == {"clock"}
        traits.clear()
        console.on_message({"do": "finish", "number": "5_31"})
        assert set().union(*traits) == {"records", "answers", "twin_states"}


class TestClock:
    def test_the_buttons_move_it(self):
        """Step, to a clock time, to the batch; errors are reported at their fields."""
        console = opened()
        assert console.choices["batch"]
        console.on_message({"do": "until", "moment": "12:00"})
        assert console.clock["at"] == f"{console.session.at:%a %Y-%m-%d} 12:00:00"
        console.on_message({"do": "batch"})
        assert console.clock["at"].endswith("21:59:59")
        console.on_message({"do": "until", "moment": "noon"})
        assert "must be a clock time" in console.problems["moment"]
        console.on_message({"do": "until", "moment": ""})
        assert "a moment is needed" in console.problems["moment"]
        assert console.notice == ""
        console.on_message({"do": "speed", "speed": 60})
        assert console.clock["speed"] == 60.0
        console.on_message({"do": "speed", "speed": -1})
        assert list(console.problems) == ["speed"]
        assert console.clock["speed"] == 60.0

    def test_step_advances_to_the_next_event(self):
        """Instance 2 arrives a second after the first."""
        console = opened(until=0.5)
        console.on_message({"do": "step"})
        assert console.session.now == 1.0

    def test_play_without_a_loop_is_reported(self):
        """A script has none."""
        console = opened()
        console.on_message({"do": "play"})
        assert "play() needs a running event loop" in console.notice

    def test_play_and_pause_from_another_thread(self):
        """Some kernels handle messages in one; the clock still runs in the loop."""

        async def played():
            console = opened(speed=36_000.0)
            handle = console._handle_custom_msg
            threading.Thread(target=handle, args=({"do": "play"}, [])).start()
            while not console.clock["playing"]:
                await asyncio.sleep(0.01)
            before = console.clock["at"]
            while console.clock["at"] == before:  # updates arrive without a request
                await asyncio.sleep(0.01)
            threading.Thread(target=handle, args=({"do": "pause"}, [])).start()
            while console.clock["playing"]:
                await asyncio.sleep(0.01)
            console.close()

        asyncio.run(asyncio.wait_for(played(), 30))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("42", 42),
        ("4.5", 4.5),
        ("true", True),
        ('{"a": [1]}', {"a": [1]}),
        ("Ann", "Ann"),
        ("NaN", "NaN"),
        ("5_31", "5_31"),
        ("", ""),
        ('"[draft]"', "[draft]"),
        ("12:00, by {name}", "12:00, by {name}"),
    ],
)
def test_values_are_json_if_possible(text, value):
    """Otherwise they are text."""
    assert value_of(text) == value


def test_a_field_has_one_value():
    """A second one would replace the first."""
    with pytest.raises(sim.ScenarioError, match="'a' is given twice"):
        fields_of([["a", "1"], ["a", "2"]])
