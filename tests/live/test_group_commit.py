"""Finishes that wait at the same moment: one write for all, and to each the answer of its own."""

import asyncio
import contextlib
import resource
import socket
import threading
import time
from collections import Counter

import httpx
import pytest

import asyncsim as sim
from asyncsim.engine.waits import Answer
from asyncsim.live import rest
from asyncsim.live.journal import Finish
from asyncsim.live.rest import MOST_TOGETHER, GroupCommit, application
from asyncsim.live.setup import PATH

TOKEN = "secret-of-these-tests"
ME = {"Authorization": f"Bearer {TOKEN}"}
INSTANCES = 300


@pytest.fixture
def session(tmp_path):
    """A session in a file, in which instance k waits as ``k_1``."""
    scenario = sim.Scenario(
        name="approval",
        process=sim.Process("approve", [sim.AsyncStep("approve", "people")]),
        systems={"people": sim.People(2, "10min")},
        arrivals=sim.Regular("1s"),
        length=float(INSTANCES),
    )
    with sim.live(scenario, store=tmp_path / "s.db", hold=True) as session:
        session.run_until(float(INSTANCES))
        yield session


class Commits:
    """Counts the commits of a store; each waits until it is let go on."""

    def __init__(self, session, monkeypatch):
        self.count = 0
        self.under_way, self.go_on = threading.Event(), threading.Event()
        self._commit = session.store.commit
        monkeypatch.setattr(session.store, "commit", self)

    def __call__(self):
        self.count += 1
        self.under_way.set()
        assert self.go_on.wait(30)
        self._commit()


@pytest.fixture
def commits(session, monkeypatch):
    """The commits of the session from now on."""
    return Commits(session, monkeypatch)


def posts(session, *requests):
    """Send finishes at the same moment, as number and options; return their answers, in order."""

    async def send():
        app = httpx.ASGITransport(application(session, TOKEN), raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=app, base_url=f"http://here{PATH}") as client:
            sent = [
                client.post(f"/serverEvents/{number}/finish", headers=ME | headers, content=body)
                for number, headers, body in requests
            ]
            return await asyncio.gather(*sent)

    return asyncio.run(send())


def statuses(answers):
    """Return the statuses of answers."""
    return [answer.status_code for answer in answers]


def plain(*numbers):
    """Return finishes without anything special."""
    return [(number, {}, b"{}") for number in numbers]


def finished(session):
    """Return how many steps are finished."""
    return INSTANCES - session.waiting_count


def test_a_group_is_written_at_once_and_each_step_of_it_is_finished(session, commits):
    """With its own data, in the order in which they came; also after the session is reopened."""
    commits.go_on.set()
    numbers = [f"{k}_1" for k in range(1, 51)]
    requests = [(number, {}, f'{{"no": "{number}"}}'.encode()) for number in numbers]
    assert statuses(posts(session, *requests)) == [204] * 50
    assert commits.count == 1
    assert [one.input.serial_number for one in session._simulation.journal.played()] == numbers
    session.close()
    with sim.live(store=session.store.path) as again:
        assert finished(again) == 50
        assert [again.wait(number)["data"]["no"] for number in numbers] == numbers


def test_no_finish_is_acknowledged_before_it_is_on_the_disk(session, commits):
    """While one group is written, the next one gathers; then it is written at once."""

    async def work():
        group_commit = GroupCommit(session)

        def finish(k):
            return asyncio.create_task(group_commit.finish(Finish(f"{k}_1", {})))

        first = [finish(k) for k in range(1, 11)]
        await asyncio.to_thread(commits.under_way.wait, 30)
        second = [finish(k) for k in range(11, 31)]
        await asyncio.sleep(0.05)
        assert not any(task.done() for task in first + second)
        commits.go_on.set()
        return await asyncio.gather(*first, *second)

    assert asyncio.run(work()) == [Answer.FINISHED] * 30
    assert commits.count == 2


def test_a_group_has_an_end(session, commits):
    """More than fit are several groups, and all are finished."""
    commits.go_on.set()
    assert statuses(posts(session, *plain(*(f"{k}_1" for k in range(1, 251))))) == [204] * 250
    assert commits.count == -(-250 // MOST_TOGETHER)


def test_of_one_number_in_a_group_one_is_finished(session, commits):
    """The first; all others get a 409."""
    commits.go_on.set()
    assert statuses(posts(session, *plain(*["7_1"] * 20))) == [204] + [409] * 19
    assert (commits.count, finished(session)) == (1, 1)


def test_a_key_counts_within_a_group_as_well(session, commits):
    """The same finish gets the same answer; another one with that key changes nothing."""
    commits.go_on.set()
    key = {"Idempotency-Key": "k1"}
    answers = posts(
        session, ("7_1", key, b"{}"), ("7_1", key, b"{}"), ("8_1", key, b"{}"), *plain("9_1")
    )
    assert statuses(answers) == [204, 204, 422, 204]
    assert "key 'k1' was used to finish '7_1'" in answers[2].json()["detail"]
    assert session.wait("8_1")["state"] == "waiting"
    assert (commits.count, finished(session)) == (1, 2)


def test_a_wrong_request_does_not_disturb_the_others(session):
    """Each gets the answer it would get alone."""
    answers = posts(
        session,
        *plain("1_1", "999_1", "nothing"),
        ("2_1", {}, b"{"),
        ("3_1", {}, b'{"x": NaN}'),
        ("4_1", {"webhook-id": "\t"}, b"{}"),
        ("5_1", {"Authorization": "Bearer wrong"}, b"{}"),
        *plain("6_1"),
    )
    assert statuses(answers) == [204, 404, 404, 400, 400, 400, 401, 204]
    assert finished(session) == 2


def test_what_fails_for_one_is_done_for_the_others(session, monkeypatch):
    """An error that is not the store's: each is played alone then."""
    twins = session._simulation.twins
    real = type(twins).play

    def play(self, given):
        if given.serial_number == "3_1":
            raise RuntimeError("a custom system has failed")
        return real(self, given)

    monkeypatch.setattr(type(twins), "play", play)
    assert statuses(posts(session, *plain(*(f"{k}_1" for k in range(1, 6))))) == (
        [204, 204, 500, 204, 204]
    )
    assert session.wait("3_1")["state"] == "waiting"
    assert finished(session) == 4


def test_a_full_disk_is_reported_to_the_whole_group(session):
    """503 to each, nothing is left of it, and with room again all of them can be finished."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    requests = [(f"{k}_1", {}, b'{"x": "%s"}' % (b"x" * 5000)) for k in range(1, 31)]
    with open(session.store.path + "-wal", "rb") as log:
        used = log.seek(0, 2)
    resource.setrlimit(resource.RLIMIT_FSIZE, (used + 20_000, hard))
    try:
        assert statuses(posts(session, *requests)) == [503] * 30
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert finished(session) == 0
    assert session._simulation.journal.played() == []
    assert statuses(posts(session, *requests)) == [204] * 30


def test_when_no_thread_can_be_started_no_finish_waits_for_ever(session, monkeypatch):
    """The error is everybody's, and the next finish is done."""

    async def none(*_):
        raise RuntimeError("can't start new thread")

    async def work():
        group_commit = GroupCommit(session)
        with monkeypatch.context() as patch:
            patch.setattr(rest, "run_in_threadpool", none)
            failed = [group_commit.finish(Finish(f"{k}_1", {})) for k in (1, 2)]
            errors = await asyncio.gather(*failed, return_exceptions=True)
        assert [type(error) for error in errors] == [RuntimeError] * 2
        return await group_commit.finish(Finish("1_1", {}))

    assert asyncio.run(work()) is Answer.FINISHED


def test_when_all_tasks_are_cancelled_no_finish_waits_for_ever(session, commits):
    """Nor does a later finish."""

    async def work():
        group_commit = GroupCommit(session)

        async def finish(k):
            return await group_commit.finish(Finish(f"{k}_1", {}))

        waiting = [asyncio.create_task(finish(k)) for k in (1, 2, 3)]
        await asyncio.to_thread(commits.under_way.wait, 30)
        for task in asyncio.all_tasks() - {asyncio.current_task(), *waiting}:
            task.cancel()
        commits.go_on.set()
        done = await asyncio.gather(*waiting, return_exceptions=True)
        assert [type(error) for error in done] == [asyncio.CancelledError] * 3
        return await finish(4)

    assert asyncio.run(work()) is Answer.FINISHED


def sent(endpoint, number):
    """Return a connection on which a whole finish was sent."""
    host, port = endpoint.url.removeprefix("http://").split(":")
    connection = socket.create_connection((host, int(port)), timeout=30)
    connection.sendall(
        f"POST {PATH}/serverEvents/{number}/finish HTTP/1.1\r\nHost: localhost\r\n"
        f"Authorization: Bearer {TOKEN}\r\nContent-Length: 0\r\n\r\n".encode()
    )
    return connection


class TestServed:
    @pytest.fixture
    def queued(self, session, commits):
        """An endpoint, and connections whose finishes wait for the first one to be written."""
        endpoint = session.serve(token=TOKEN, thread=True)
        connections = [sent(endpoint, "1_1")]
        assert commits.under_way.wait(30)
        connections += [sent(endpoint, f"{k}_1") for k in range(2, 6)]
        time.sleep(1.0)  # they have arrived by now
        yield endpoint, connections
        commits.go_on.set()
        endpoint.stop()
        for connection in connections:
            connection.close()

    def test_a_client_that_leaves_does_not_disturb_the_others(self, session, queued, commits):
        """What it sent was whole, so it is done."""
        _, connections = queued
        for k in (0, 2):
            connections[k].close()
        commits.go_on.set()
        for k in (1, 3, 4):
            assert connections[k].recv(4096).startswith(b"HTTP/1.1 204")
        assert finished(session) == 5

    def test_a_server_that_stops_answers_all_that_wait(self, session, queued, commits):
        """Those that were not yet being written as well; one that had not arrived is not done."""
        endpoint, connections = queued
        stopping = threading.Thread(target=endpoint.stop)
        stopping.start()
        time.sleep(0.3)
        commits.go_on.set()
        received = Counter(connection.recv(4096)[9:12] for connection in connections)
        stopping.join()
        assert set(received) <= {b"204", b"503"}
        assert received[b"204"] == finished(session) > 0

    @pytest.mark.slow
    def test_many_clients_at_once_are_each_answered_once(self, session):
        """600 finishes by 16 clients, two of each step: one of them is done."""
        endpoint = session.serve(token=TOKEN, thread=True)
        numbers, found = iter([f"{k}_1" for k in range(1, INSTANCES + 1)] * 2), Counter()
        lock = threading.Lock()

        def client():
            with httpx.Client(base_url=endpoint.url + PATH, headers=ME) as http:
                while True:
                    with lock:
                        number = next(numbers, None)
                    if number is None:
                        return
                    status = http.post(f"/serverEvents/{number}/finish").status_code
                    with lock:
                        found[status] += 1

        clients = [threading.Thread(target=client) for _ in range(16)]
        with contextlib.closing(session):
            for one in clients:
                one.start()
            for one in clients:
                one.join()
            endpoint.stop()
            assert found == {204: INSTANCES, 409: INSTANCES}
            assert session.waiting_count == 0
