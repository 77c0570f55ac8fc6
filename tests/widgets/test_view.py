"""The view without a browser: where instances are, and what is sent to the page."""

import asyncio

import numpy as np
import pytest

import asyncsim as sim
from asyncsim.widgets.view import CALLING, NOWHERE, DiagramLayout

BATCH = sim.NightlyBatch(start="22:00", item_time="1s")
BY_HAND = sim.OnlineService("1h", lanes=None)


def scenario(steps, system=BATCH, n=10, **server):
    """Return a scenario in which instance k arrives in second k - 1."""
    return sim.Scenario(
        name="orders",
        process=sim.Process("order to cash", steps),
        systems={"ledger": system},
        arrivals=sim.Regular("1s"),
        length=float(n),
        server=sim.WorkflowServer(**server),
    )


def simple(n=10, **more):
    steps = [sim.Step("read", work="3s"), sim.AsyncStep("post", "ledger"), sim.Step("notify")]
    return scenario(steps, n=n, **more)


def at(view, simulation=0):
    """Return the number of instances at each place that has any, by name."""
    layout, snapshot = view._layout, view.snapshots()[simulation]
    pairs = zip(layout.places, snapshot.counts, strict=True)
    return {place.name: count for place, count in pairs if place and count}


class TestSnapshot:
    def test_instances_move_from_work_to_wait_to_the_end(self):
        """Each is at one place; the queue is that of the workers."""
        session = sim.live(simple(workers=2), against=sim.Polling("15min", "clock"))
        view = session.view()
        assert at(view) == {"read": 1}  # the first arrives at once
        session.run_until(2.5)  # three have arrived, two have a worker
        snapshot = view.snapshots()[0]
        assert at(view) == {"read": 3}
        assert (snapshot.workers, snapshot.busy, snapshot.queue) == (2, 2, 1)
        session.run_until("12:00")
        assert at(view) == at(view, 1) == {"post": 10}
        assert view.snapshots()[0].waiting == 10
        session.run_until("22:00:04")  # the batch has completed about four
        assert at(view, 0)["done"] in (4, 5)
        assert at(view, 1) == {"post": 10}  # polling has not seen it yet
        session.run_until("23:00")
        assert at(view) == at(view, 1) == {"done": 10}
        assert view.snapshots()[0].waiting == 0

    def test_every_open_wait_has_an_instance_at_its_step_all_day(self):
        """Compared with the session, in a process with branches of all kinds."""
        steps = [
            sim.Step("read", work="2s"),
            sim.Choice(
                "which",
                [
                    (
                        0.5,
                        [sim.AsyncStep("quick", "ledger", response={"accepted": 0.7, "done": 0.3})],
                    ),
                    (0.5, []),
                ],
            ),
            sim.AsyncStep("post", "ledger", timeout="1h", on_timeout=[sim.Step("phone", "1min")]),
        ]
        session = sim.live(scenario(steps, n=200), seed=1)
        view = session.view()
        while session.now < 86_400.0:
            session.run_for("17min")
            snapshot, here = view.snapshots()[0], at(view)
            assert here.get("quick", 0) + here.get("post", 0) == snapshot.waiting
            assert sum(snapshot.counts) == session.instances_count
        assert here == {"done": 200}

    @pytest.mark.slow
    @pytest.mark.parametrize("name", ["nightly_ledger", "person", "lines_of_business"])
    @pytest.mark.parametrize("strategy", [sim.Callback(), sim.Polling("15min")])
    def test_counts_agree_with_the_tables(self, name, strategy, pytestconfig):
        """Waiting, done and failed at any moment; the others are at work."""
        path = pytestconfig.rootpath / "data" / f"{name}.toml"
        session = sim.live(sim.Scenario.load(path), strategy, seed=2)
        view = session.view()
        for moment in ("08:30", "12:00", "22:01", "23:30", "2026-04-02 11:00"):
            session.run_until(moment)
            run, snapshot = session.so_far(), view.snapshots()[0]
            steps = [k for k, p in enumerate(view._layout.places) if p and p.kind == "async step"]
            at_steps = sum(snapshot.counts[k] - snapshot.calling[k] for k in steps)
            waiting = int((run.waits["outcome"] == "waiting").sum())
            assert snapshot.waiting == at_steps == waiting
            outcomes = run.instances["outcome"]
            ends = [int((outcomes == end).sum()) for end in ("done", "failed")]
            assert snapshot.counts[-2:] == ends
            assert sum(snapshot.counts) == len(outcomes)

    def test_a_step_that_is_making_its_call_does_not_wait(self):
        """It is at its place, marked as calling."""
        step = sim.AsyncStep("post", "ledger", call_work="1min", timeout="1h")
        session = sim.live(scenario([step], BY_HAND, n=1), hold=True)
        view = session.view()
        session.run_until(30.0)
        snapshot = view.snapshots()[0]
        assert (sum(snapshot.counts), sum(snapshot.calling), snapshot.waiting) == (1, 1, 0)
        assert snapshot.places[0, 0] >= CALLING
        session.run_until(90.0)
        snapshot = view.snapshots()[0]
        assert (sum(snapshot.counts), sum(snapshot.calling), snapshot.waiting) == (1, 0, 1)

    def test_parallel_branches_have_a_token_each(self):
        """The first track has one, unless the instance waits for another branch."""
        branches = [
            [sim.AsyncStep("post", "ledger")],
            [sim.Step("print", work="10s"), sim.AsyncStep("ship", "ledger")],
        ]
        steps = [sim.Parallel("both", branches), sim.Step("notify", work="5s")]
        session = sim.live(scenario(steps, n=1), hold=True)
        view = session.view()
        session.run_until(2.0)
        assert at(view) == {"post": 1, "print": 1}
        session.run_until(20.0)
        assert at(view) == {"post": 1, "ship": 1}
        session.finish("1_1")
        assert at(view) == {"ship": 1}
        assert view.snapshots()[0].places[0, 0] == NOWHERE
        session.finish("1_3")
        assert at(view) == {"notify": 1}
        session.run_until(60.0)
        assert at(view) == {"done": 1}

    def test_steps_after_an_accepted_call_come_before_its_wait(self):
        """The instance is at the step that works on it."""
        step = sim.AsyncStep("post", "ledger", on_accepted=[sim.Step("mail", work="10s")])
        session = sim.live(scenario([step], n=1), hold=True)
        view = session.view()
        session.run_until(5.0)
        assert at(view) == {"mail": 1}
        session.run_until(15.0)
        assert at(view) == {"post": 1}

    def test_failed_and_retried_instances(self):
        """A retry returns them from the end to their wait, with or without a new call."""
        steps = [sim.AsyncStep("post", "ledger", timeout="1min")]
        session = sim.live(scenario(steps, BY_HAND, n=2), hold=True)
        view = session.view()
        session.run_until(120.0)
        assert at(view) == {"failed": 2}
        session.retry("1_1")
        session.retry("2_1", call=False)
        assert at(view) == {"post": 2}
        session.finish("1_2")
        session.finish("2_2")
        assert at(view) == {"done": 2}

    def test_instances_started_by_hand_are_shown(self):
        """In their rows."""
        session = sim.live(simple(n=3), hold=True)
        view = session.view()
        session.run_until(60.0)
        session.start()
        assert at(view) == {"post": 3, "read": 1}


def quiet(session):
    """Return a view that sends no pictures by itself."""
    view = session.view()
    view._end_listening()
    return view


def outside(view, simulation=0, system="ledger"):
    """Return what a picture shows of a system."""
    return view.picture()[0]["simulations"][simulation]["outside"][system]


def moved(view, what, simulation=0):
    """Return what has moved since the previous picture, by the name of its step."""
    names = [place.name if place else "" for place in view._layout.places]
    return {names[k]: n for k, *n in view.picture()[0]["simulations"][simulation][what]}


class TestOutside:
    def test_a_batch_shows_whether_it_runs_and_its_next_start(self):
        """Items are queued by day, and processed one by one at night."""
        session = sim.live(simple(), against=sim.Polling("15min", "clock"))
        view = quiet(session)
        session.run_until("12:00")
        found = outside(view)
        assert (found["waiting"], found["working"], found["runs"]) == (10, 0, False)
        assert found["lines"] == [
            "next batch starts Mon 05 Jan 22:00",
            "0 in progress, 10 in the queue",
            "",
        ]
        session.run_until(79_204.5)
        for simulation, unnoticed in ((0, ""), (1, "4 complete, not noticed yet")):
            found = outside(view, simulation)
            assert (found["waiting"], found["working"], found["runs"]) == (5, 1, True)
            assert found["lines"] == [
                "batch running, next one starts Tue 06 Jan 22:00",
                "1 in progress, 5 in the queue",
                unnoticed,
            ]
        session.run_until("23:00")
        assert outside(view, 1) == {
            "waiting": 0,
            "working": 0,
            "runs": False,
            "lines": ["next batch starts Tue 06 Jan 22:00", "0 in progress, 0 in the queue", ""],
        }

    @pytest.mark.slow
    @pytest.mark.parametrize("name", ["nightly_ledger", "person", "lines_of_business"])
    @pytest.mark.parametrize("strategy", [sim.Callback("1min"), sim.Polling("1h")])
    def test_items_and_waits_agree_with_the_tables(self, name, strategy, pytestconfig):
        """Incomplete items are outside; complete ones are counted as unnoticed."""
        path = pytestconfig.rootpath / "data" / f"{name}.toml"
        session = sim.live(sim.Scenario.load(path), strategy, seed=2)
        view = quiet(session)
        for moment in ("08:30", "12:00", "22:01", "23:30", "2026-04-02 11:00"):
            session.run_until(moment)
            waits = session.so_far().waits
            for system, group in waits.groupby("system"):
                found = outside(view, system=system)
                incomplete = int(group["completed"].isna().sum())
                calling = sum(view.snapshots()[0].calling)
                assert abs(found["waiting"] + found["working"] - incomplete) <= calling
                complete = (group["outcome"] == "waiting") & group["completed"].notna()
                text = f"{int(complete.sum()):,} complete" if complete.any() else ""
                assert found["lines"][-1].startswith(text)
                assert bool(found["lines"][-1]) is bool(complete.any())

    def test_lanes_and_people_limit_the_items_in_progress(self):
        """The others are queued; people have working hours."""
        for system, most, word in (
            (sim.OnlineService("1h", lanes=3), 3, ""),
            (sim.People(2, "20min", between=("08:00", "17:00")), 2, "outside"),
            (sim.Chain([sim.OnlineService("1h"), sim.NightlyBatch("22:00", "1s")]), 1, "next"),
            (BY_HAND, 10, ""),
        ):
            session = sim.live(simple(system=system))
            view = quiet(session)
            session.run_until("00:10")
            found = outside(view)
            assert (found["working"], found["waiting"]) == (most, 10 - most)
            assert found["lines"][0].startswith(word)
        session = sim.live(simple(system=sim.People(2, "20min", between=("08:00", "17:00"))))
        view = quiet(session)
        session.run_until("07:59")
        assert outside(view)["lines"][0] == "outside working hours"
        session.run_until("08:01")
        assert outside(view)["lines"][0] == "people at work"

    def test_items_finished_from_outside_count_until_they_are_complete(self):
        """Also for a twin that has not noticed it."""
        session = sim.live(simple(), against=sim.Polling("15min"), hold=True)
        view = quiet(session)
        session.run_until("12:00")
        session.finish("5_2")
        session.complete("6_2")
        for simulation in (0, 1):
            assert outside(view, simulation)["working"] == 8
            assert outside(view, simulation)["lines"][0] == "finished from outside"
        assert outside(view, 1)["lines"][-1] == "2 complete, not noticed yet"
        session.retry("7_2", call=False)
        session.retry("8_2")
        session.run_until("12:20")
        assert [outside(view, simulation)["working"] for simulation in (0, 1)] == [8, 8]
        assert [outside(view, simulation)["lines"][-1] for simulation in (0, 1)] == ["", ""]

    @pytest.mark.parametrize("poll_work", ["0s", "10ms"])
    @pytest.mark.parametrize(
        "strategy", [sim.Polling("15min"), sim.Polling("15min", jitter="5s"), sim.Backoff("15min")]
    )
    def test_each_check_is_shown_once(self, poll_work, strategy):
        """Whether checks are simulated or counted."""
        session = sim.live(simple(poll_work=poll_work), against=strategy)
        view = quiet(session)
        session.run_until("00:10")
        assert moved(view, "checks", 1) == {}
        session.run_until("00:16")
        assert moved(view, "checks", 1) == {"post": [10]}
        assert moved(view, "checks", 1) == moved(view, "checks", 0) == {}
        session.run_until("22:00")
        view.picture()
        session.run_until("2026-01-06 23:00")
        assert moved(view, "checks", 1) == {"post": [10]}  # that saw the completion
        session.run_until("2026-01-07 12:00")
        assert moved(view, "checks", 1) == {}

    def test_arrived_and_lost_callbacks_are_shown_apart(self):
        """Including those sent by hand."""
        session = sim.live(simple(100), sim.Callback(loss=0.5), seed=1)
        view = quiet(session)
        session.run_until("22:00")
        assert moved(view, "callbacks") == {}
        session.finish("5_2")
        assert moved(view, "callbacks") == {"post": [1, 0]}
        session.run_until("22:00:20")
        arrived, lost = moved(view, "callbacks")["post"]
        deliveries = session.so_far().deliveries
        assert 0 < lost == min(12, int((deliveries["outcome"] == "lost").sum()))
        assert 0 < arrived <= 12
        assert moved(view, "callbacks") == {}

    def test_after_a_reset_no_earlier_movement_is_shown(self):
        """The button restarts the session."""
        session = sim.live(simple(), against=sim.Polling("15min"))
        view = quiet(session)
        session.run_until(79_204.5)
        view.picture()
        view.on_message({"do": "reset"})
        assert (session.now, view.notice, view.choices["why_no_reset"]) == (0.0, "", "")
        message, _ = view.picture()
        assert [
            simulation["callbacks"] + simulation["checks"] for simulation in message["simulations"]
        ] == [[], []]
        session.run_until("12:00")
        assert outside(view)["lines"][0] == "next batch starts Mon 05 Jan 22:00"

    def test_a_session_with_a_store_is_not_reset(self, tmp_path):
        """The page shows why: its journal would be lost."""
        with sim.live(simple(), store=tmp_path / "s.db") as session:
            session.run_until("12:00")
            view = quiet(session)
            assert "journal" in view.choices["why_no_reset"]
            view.on_message({"do": "reset"})
            assert "journal" in view.notice
            assert session.now == 43_200.0
        view.picture()  # of a closed session


class TestPictures:
    def test_a_picture_has_two_bytes_per_instance_and_strategy(self):
        """And the counts of each simulation."""
        session = sim.live(simple(1000), against=sim.Polling("15min"))
        view = session.view()
        session.run_until("12:00")
        message, buffers = view.picture()
        assert [simulation["label"] for simulation in message["simulations"]] == [
            "callback",
            "polling 15 min",
        ]
        assert [len(buffer) for buffer in buffers] == [2000, 2000]
        places = np.frombuffer(buffers[0], dtype="<u2")
        assert message["simulations"][0]["counts"] == np.bincount(places, minlength=5).tolist()

    def test_a_page_that_opens_receives_a_picture(self, monkeypatch):
        """And another one after each action."""
        session = sim.live(simple(), hold=True)
        view = session.view()
        pictures = []
        monkeypatch.setattr(view, "send", lambda message, buffers: pictures.append(message))
        view.on_message({"do": "hello"})
        view.on_message({"do": "until", "moment": "12:00"})
        assert len(pictures) >= 2
        assert pictures[-1]["now"] == 43_200.0
        assert view.clock["at"].endswith("12:00:00")

    def test_pictures_are_sent_while_the_clock_runs(self):
        """A closed view sends none."""

        async def played():
            session = sim.live(simple(), speed=36_000.0)
            view, pictures = session.view(), []
            view.send = lambda message, buffers: pictures.append(message["now"])
            view.on_message({"do": "play"})
            while len(pictures) < 4:
                await asyncio.sleep(0.01)
            assert pictures == sorted(pictures)
            view.close()
            session.pause()
            session.close()

        asyncio.run(asyncio.wait_for(played(), 30))


class TestLayout:
    def test_columns_to_the_right_and_branches_below(self):
        """The layout of a process with all kinds of elements."""
        process = sim.Process(
            "all",
            [
                sim.Step("a"),
                sim.Choice("b", [(0.5, [sim.Step("c")]), (0.3, [sim.Step("d")]), (0.2, [])]),
                sim.Parallel("e", [[sim.AsyncStep("f", "x")], [sim.Step("g"), sim.Step("h")]]),
                sim.AsyncStep("i", "x", on_rejected=[sim.Step("j")]),
            ],
        )
        plan = DiagramLayout.of(process)
        found = {(p.name, p.kind): (p.column, p.row, p.track) for p in plan.places if p}
        assert found == {
            ("a", "step"): (0, 0, 0),
            ("b", "choice"): (1, 0, 0),
            ("c", "step"): (2, 0, 0),
            ("d", "step"): (2, 1, 0),
            ("e", "fork"): (3, 0, 0),
            ("f", "async step"): (4, 0, 0),
            ("g", "step"): (4, 1, 1),
            ("h", "step"): (5, 1, 1),
            ("e", "join"): (6, 0, 0),
            ("i", "async step"): (7, 0, 0),
            ("j", "step"): (7, 1, 0),
            ("done", "end"): (8, 0, 0),
            ("failed", "end"): (8, 0, 0),
        }
        assert (plan.rows, plan.tracks) == (3, 2)
        names = {k: p.name for k, p in enumerate(plan.places) if p}
        lines = {(names[a], names[b]) for a, b in plan.lines}
        assert {("a", "b"), ("b", "c"), ("b", "e"), ("d", "e"), ("e", "g"), ("i", "j")} <= lines
        assert {("i", "done"), ("j", "done")} <= lines

    def test_no_two_places_of_a_nested_process_coincide(self):
        """Parallel branches within branches, and paths of an asynchronous step."""
        inner = sim.Parallel("in", [[sim.Step("p")], [sim.Step("q")]])
        outer = sim.Parallel("out", [[sim.Step("r"), inner], [sim.AsyncStep("s", "x")]])
        mail = sim.AsyncStep("t", "x", on_accepted=[sim.Step("u")], on_timeout=[sim.Step("v")])
        plan = DiagramLayout.of(sim.Process("nested", [outer, mail]))
        places = [p for p in plan.places if p and p.kind != "end"]
        assert len({(p.column, p.row) for p in places}) == len(places)
        assert {p.name: p.track for p in places if p.kind in ("step", "async step")} == {
            "r": 0, "p": 0, "q": 1, "s": 2, "t": 0, "u": 0, "v": 0,
        }  # fmt: skip
