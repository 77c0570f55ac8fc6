"""The server behind an endpoint, under clients that are slow, broken, hostile or gone."""

import asyncio
import json
import logging
import socket
import threading
import time
from contextlib import closing, contextmanager, suppress

import httpx
import pytest

import asyncsim as sim
from asyncsim.live import endpoint as serving
from asyncsim.live import http_server as server
from asyncsim.live.http_server import Hosts
from asyncsim.live.setup import PATH

TOKEN = "secret-of-these-tests"
ME = {"Authorization": f"Bearer {TOKEN}"}
HEAD = f"Host: localhost\r\nAuthorization: Bearer {TOKEN}\r\n"
FINISH = f"POST {PATH}/serverEvents/5_31/finish HTTP/1.1\r\n{HEAD}"
HALF = {
    "nothing": "",
    "half a head": FINISH,
    "half a body": FINISH + "Content-Length: 20\r\n\r\n{",
    "half a body without the token": FINISH.replace(TOKEN, "x") + "Content-Length: 20\r\n\r\n{",
    "a chunk of many": FINISH + "Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n",
    "asked to continue": FINISH + "Content-Length: 20\r\nExpect: 100-continue\r\n\r\n",
}
AGES = 600.0


def approval():
    """Return a session in which ten instances wait, instance k as ``k_31``."""
    scenario = sim.Scenario(
        name="approval",
        process=sim.Process("p", [sim.AsyncStep("approve", "people")], first_activation=31),
        systems={"people": sim.People(2, "10min")},
        arrivals=sim.Regular("1s"),
        length=10.0,
    )
    session = sim.live(scenario, hold=True)
    session.run_until(10.0)
    return session


class Log(logging.Handler):
    """Keeps what the server and the event loop log."""

    def __init__(self):
        super().__init__()
        self.records = []

    def emit(self, record):
        self.records.append(record)

    @property
    def tracebacks(self):
        return [record.getMessage() for record in self.records if record.exc_info]


@contextmanager
def listening_in():
    """Give what is logged, once an endpoint has been started."""
    log, ours = Log(), logging.getLogger("asyncsim")
    loggers, level = (
        [logging.getLogger("uvicorn.error"), logging.getLogger("asyncio"), ours],
        ours.level,
    )
    for logger in loggers:
        logger.addHandler(log)
    ours.setLevel(logging.INFO)
    yield log
    ours.setLevel(level)
    for logger in loggers:
        logger.removeHandler(log)


@pytest.fixture
def served(request, monkeypatch):
    """A session, its endpoint in a thread, and what is logged; without any traceback."""
    session = approval()
    monkeypatch.setattr(serving, "PATIENCE", getattr(request, "param", AGES))
    endpoint = session.serve(token=TOKEN)
    with listening_in() as log:
        yield session, endpoint, log
        endpoint.stop()
        assert not endpoint._thread.is_alive()
    assert log.tracebacks == []


def connected(endpoint, text=""):
    """Return a connection over which something has been sent."""
    connection = socket.create_connection(("127.0.0.1", int(endpoint.url.rsplit(":", 1)[1])), 30)
    connection.sendall(text.encode() if isinstance(text, str) else text)
    return connection


def sent_until_cut_off(connection, data, pause=0.0):
    """Send data again and again until the other side has closed."""
    with closing(connection), suppress(ConnectionError):
        while True:
            connection.sendall(data)
            time.sleep(pause)


def rest_of(connection):
    """Return all that comes until the other side closes."""
    parts = []
    with closing(connection):
        try:
            while part := connection.recv(65_536):
                parts.append(part)
        except ConnectionResetError:  # it was closed while more had been sent
            pass
    return b"".join(parts)


def problem_of(answer):
    """Return the problem document in the last answer of a connection, checked."""
    head, _, body = answer.rpartition(b"\r\n\r\n")
    lines = head.lower().split(b"\r\n")
    assert b"content-type: application/problem+json" in lines
    assert b"connection: close" in lines
    assert f"content-length: {len(body)}".encode() in lines
    return json.loads(body)


def finish(endpoint, number="6_31"):
    """Return the status of a finish."""
    return httpx.post(f"{endpoint.url}{PATH}/serverEvents/{number}/finish", headers=ME).status_code


class TestSlowClients:
    @pytest.mark.parametrize("served", [0.7], indirect=True)
    def test_two_hundred_half_requests_end_and_delay_no_other(self, served):
        """A finish is answered meanwhile; what has begun to arrive gets a 408."""
        session, endpoint, _ = served
        texts = list(HALF.values()) * 34
        slow = [connected(endpoint, text) for text in texts]
        assert finish(endpoint) == 204
        answers = dict(zip(HALF, map(rest_of, slow[: len(HALF)]), strict=True))
        assert answers.pop("nothing") == b""
        assert answers.pop("half a body without the token").startswith(
            (b"HTTP/1.1 401", b"HTTP/1.1 503")  # whichever came first
        )
        for what, answer in answers.items():
            found = problem_of(answer)
            assert found["status"] == 408, what
            assert "not complete in time (0.7 s" in found["detail"]
        for connection in slow[len(HALF) :]:
            rest_of(connection)
        assert session.wait("5_31")["state"] == "waiting"

    @pytest.mark.parametrize("served", [0.5], indirect=True)
    @pytest.mark.parametrize("text", HALF.values(), ids=HALF)
    def test_a_byte_now_and_then_gains_no_time(self, served, text):
        """The time is that of the whole request."""
        sent_until_cut_off(connected(served[1], text), b" ", pause=0.02)

    @pytest.mark.parametrize("served", [0.3], indirect=True)
    def test_who_reads_no_answers_is_cut_off(self, served):
        """Neither the answers nor the connection stay in memory."""
        endpoint = served[1]
        connection = socket.socket()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect(("127.0.0.1", int(endpoint.url.rsplit(":", 1)[1])))
        sent_until_cut_off(
            connection, b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n" * 99
        )
        while endpoint._server.server_state.connections:
            time.sleep(0.02)

    def test_of_too_many_those_go_that_have_waited_longest(self, served, monkeypatch):
        """The next client is served all the same."""
        endpoint = served[1]
        monkeypatch.setattr(server, "MOST_WAITING", 5)
        slow = [connected(endpoint) for _ in range(20)]
        assert finish(endpoint) == 204
        assert [rest_of(connection) for connection in slow[:15]] == [b""] * 15
        slow[-1].sendall((FINISH + "\r\n").encode())
        assert slow[-1].recv(65_536).startswith(b"HTTP/1.1 204")
        for connection in slow[15:]:
            connection.close()

    @pytest.mark.parametrize("served", [0.5], indirect=True)
    def test_a_request_that_takes_its_time_here_is_not_cut_off(self, served, monkeypatch):
        """The client has sent all of it."""
        session, endpoint, _ = served
        real = session.apply
        monkeypatch.setattr(session, "apply", lambda *a, **k: (time.sleep(1.2), real(*a, **k))[1])
        assert finish(endpoint) == 204


def test_a_client_that_leaves_is_one_line_in_the_log(served):
    """Whatever it had sent, and the step waits on."""
    session, endpoint, log = served
    for name in ("half a body", "a chunk of many", "asked to continue"):
        log.records.clear()
        connection = connected(endpoint, HALF[name])
        time.sleep(0.1)  # it reads by now
        connection.close()
        while not log.records:
            time.sleep(0.02)
        assert finish(endpoint, "99_31") == 404
        (record,) = log.records
        assert record.name == "asyncsim"
        assert f"POST {PATH}/serverEvents/5_31/finish: the client left" in record.getMessage()
    assert session.wait("5_31")["state"] == "waiting"


class TestStopping:
    def test_what_is_under_way_is_answered(self, served, monkeypatch):
        """A finish that has arrived is done; one that has not is refused, and may come again."""
        session, endpoint, _ = served
        under_way, go_on, real = threading.Event(), threading.Event(), session.apply

        def slowly(*given, **more):
            under_way.set()
            assert go_on.wait(30)
            return real(*given, **more)

        monkeypatch.setattr(session, "apply", slowly)
        whole = connected(endpoint, FINISH.replace("5_31", "6_31") + "\r\n")
        halves = {name: connected(endpoint, text) for name, text in HALF.items()}
        assert under_way.wait(30)
        stopping = threading.Thread(target=endpoint.stop)
        stopping.start()
        answers = {name: rest_of(connection) for name, connection in halves.items()}
        go_on.set()
        assert rest_of(whole).startswith(b"HTTP/1.1 204")
        stopping.join()
        assert answers.pop("nothing") == b""
        assert answers.pop("half a body without the token").startswith(
            (b"HTTP/1.1 401", b"HTTP/1.1 503")  # whichever came first
        )
        for answer in answers.values():
            assert problem_of(answer)["status"] == 503
            assert b"\r\nretry-after: 5\r\n" in answer
        assert session.wait("5_31")["state"] == "waiting"
        assert session.wait("6_31")["state"] == "finished"
        with pytest.raises(httpx.ConnectError):
            finish(endpoint)

    @pytest.mark.parametrize("name", ["swagger-ui.css", "swagger-ui-bundle.js"])
    def test_an_answer_on_its_way_comes_whole(self, served, name):
        """The client reads all of it only after the server was asked to stop."""
        endpoint = served[1]
        connection = socket.socket()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(30)
        connection.connect(("127.0.0.1", int(endpoint.url.rsplit(":", 1)[1])))
        connection.sendall(f"GET /static-offline-docs/{name} HTTP/1.1\r\n{HEAD}\r\n".encode())
        start = connection.recv(2048)
        stopping = threading.Thread(target=endpoint.stop)
        stopping.start()
        time.sleep(0.3)
        head, _, body = (start + rest_of(connection)).partition(b"\r\n\r\n")
        stopping.join()
        assert f"content-length: {len(body)}\r\n".encode() in head

    def test_no_request_is_taken_after_stop(self):
        """Not even over a connection that was open before."""

        async def work():
            session = approval()
            endpoint = session.serve(token=TOKEN)
            async with httpx.AsyncClient(base_url=endpoint.url + PATH, headers=ME) as client:
                first = await client.post("/serverEvents/5_31/finish")
                endpoint.stop()
                second = await client.post("/serverEvents/6_31/finish")
            await endpoint.stopped()
            return session, first, second

        session, first, second = asyncio.run(work())
        assert (first.status_code, second.status_code) == (204, 503)
        assert second.headers["retry-after"] == "5"
        assert session.wait("6_31")["state"] == "waiting"

    def test_a_closed_session_is_reported(self):
        """While its server still runs."""

        async def work():
            session = approval()
            endpoint = session.serve(token=TOKEN)
            async with httpx.AsyncClient(base_url=endpoint.url + PATH, headers=ME) as client:
                session.store.close()  # not the session, which stops its endpoints
                answer = await client.post("/serverEvents/5_31/finish")
            endpoint.stop()
            await endpoint.stopped()
            return answer

        answer = asyncio.run(work())
        assert answer.status_code == 503
        assert "The session is closed; nothing was done." in answer.json()["detail"]

    def test_a_loop_that_ends_without_stop_cuts_no_client_off(self, monkeypatch):
        """As when the last cell of a script has run: whether it was done is to be looked up."""
        session = approval()
        real = session.apply
        monkeypatch.setattr(session, "apply", lambda *a, **k: (time.sleep(0.3), real(*a, **k))[1])
        answers = []

        async def work():
            endpoint = session.serve(token=TOKEN)
            with listening_in() as log:
                connection = await asyncio.to_thread(connected, endpoint, FINISH + "\r\n")
                client = threading.Thread(target=lambda: answers.append(rest_of(connection)))
                client.start()
                await asyncio.sleep(0.1)
            return log, client

        log, client = asyncio.run(work())
        client.join()
        assert problem_of(answers[0])["detail"].startswith("The server stops; what was asked for")
        assert log.tracebacks == []


CHUNKED = FINISH + "Transfer-Encoding: chunked\r\n\r\n"
DEEP = '{"x":' * 9000
NO_HTTP = {
    "bytes": b"\x00\x01\xff\r\n\r\n",
    "a word": "GET\r\n\r\n",
    "HTTP/0.9": "GET /docs\r\n\r\n",
    "no host": "GET /docs HTTP/1.1\r\n\r\n",
    "two hosts": "GET /docs HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n",
    "a raw path": b"GET /\xff HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a negative length": FINISH + "Content-Length: -5\r\n\r\n",
    "two lengths": FINISH + "Content-Length: 5\r\nContent-Length: 6\r\n\r\n{}    ",
    "an unknown coding": FINISH + "Transfer-Encoding: gzip\r\n\r\n",
    "a wrong chunk": CHUNKED + "zz\r\n",
}


def get(path, more=""):
    """Return a request that looks at a path."""
    return f"GET {path} HTTP/1.1\r\n{HEAD}{more}\r\n"


def finish_with(body):
    """Return a request that finishes a step with a body."""
    return f"{FINISH}Content-Length: {len(body)}\r\n\r\n{body}"


ODD = {
    "no chunk": (CHUNKED + "0\r\n\r\n", "204"),
    "chunks with trailers": (CHUNKED + "2;a=b\r\n{}\r\n0\r\nX: y\r\n\r\n", "204"),
    "HTTP/1.0": (f"POST {PATH}/serverEvents/5_31/finish HTTP/1.0\r\n{HEAD}\r\n", "204"),
    "two in one": (FINISH + "\r\n" + FINISH + "\r\n", "204 409"),
    "deep": (finish_with('{"x":' * 9000), "400"),
    "one name twice": (finish_with('{"x":1,"x":{}}'), "204"),
    "a number of 5,000 digits": (finish_with('{"x":' + "9" * 5000 + "}"), "400"),
    "half a character": (finish_with('{"\\ud800":1}'), "400"),
    "a long number": (FINISH.replace("5_31", "5_31" * 3000) + "\r\n", "404"),
    "half characters": (FINISH.replace("5_31", "%ed%a0%80%00%ff") + "\r\n", "404"),
    "a long path": (get("/" + "a" * 15_000), "404"),
    "an odd query": (get(f"{PATH}/clock?%00=%ff%ed%a0%80"), "400"),
    "an odd search": (get(f"{PATH}/serverEvents?like=%00%ff%ed%a0%80"), "200"),
    "a long search": (get(f"{PATH}/serverEvents?like=" + "a" * 60_000), "400"),
    "2,000 parameters": (get(f"{PATH}/clock?" + "a=1&" * 2000), "400"),
    "a raw token": (get(f"{PATH}/clock").encode().replace(b"secret", b"\xff"), "401"),
    "a file with a NUL": (get("/static-offline-docs/%00"), "404"),
    "a file above": (get("/static-offline-docs/%2e%2e/core.py"), "404"),
    "a file of 5,000 letters": (get("/static-offline-docs/" + "a" * 5000), "404"),
    "another site's path": (get("http://evil.example/docs"), "404"),
    "an upgrade": (get(f"{PATH}/clock", "Connection: Upgrade\r\nUpgrade: websocket\r\n"), "200"),
}


def statuses(answer):
    """Return the status of each answer."""
    lines = answer.split(b"\r\n")
    return " ".join(line.split()[1].decode() for line in lines if line.startswith(b"HTTP/1.1 "))


class TestHostileClients:
    @pytest.mark.parametrize("text", NO_HTTP.values(), ids=NO_HTTP)
    def test_what_is_no_http_gets_a_problem_document(self, served, text):
        """400, and the connection ends."""
        assert problem_of(rest_of(connected(served[1], text)))["status"] == 400

    @pytest.mark.parametrize(("text", "answers"), ODD.values(), ids=ODD)
    @pytest.mark.parametrize("served", [0.3], indirect=True)
    def test_what_is_odd_is_answered(self, served, text, answers):
        """Never by a 5xx, nor by a traceback."""
        assert statuses(rest_of(connected(served[1], text))) == answers

    def test_a_flood_of_headers_ends_the_connection(self, served):
        """They are not kept."""
        flood = f"GET /docs HTTP/1.1\r\n{HEAD}" + "X: y\r\n" * 200_000
        sent_until_cut_off(connected(served[1]), flood.encode())

    def test_nonsense_after_an_answer_ends_the_connection(self, served):
        """Within a request that was turned away before it had arrived."""
        connection = connected(served[1], CHUNKED.replace(TOKEN, "x") + "2\r\n{}\r\n")
        assert connection.recv(65_536).startswith(b"HTTP/1.1 401")
        connection.sendall(b"zz\r\n")
        assert b"HTTP/1.1" not in rest_of(connection)


SERVER = ("192.168.0.10", 8765)
"""The address of the machine to which a connection came."""


def refused(hosts, *headers, server=SERVER):
    """Return the host that is refused, if there is one."""
    return hosts.refused(
        {"headers": [(b"host", one.encode()) for one in headers], "server": server}
    )


class TestHosts:
    @pytest.mark.parametrize(
        "header",
        [
            *("localhost", "LOCALHOST:80", "localhost.", "127.0.0.1:8765", "127.0.0.1:"),
            *("[::1]", "[::1]:8765", "[0:0:0:0:0:0:0:1]:1", "Room.Example:99", "192.168.0.10"),
        ],
    )
    def test_these_are_answered(self, header):
        """Names of this machine, the address a connection came to, and names that are allowed."""
        assert refused(Hosts("127.0.0.1", "127.0.0.1", ["room.example"]), header) is None

    @pytest.mark.parametrize(
        "header",
        [
            *("evil.example", "evil.example:8765", "localhost.evil.example", "192.168.0.11"),
            *("127.0.0.1.evil.example", "localhost@evil.example", "localhost:80@evil.example"),
            *("localhost, evil.example", "", " ", "[", "[::2]", "::1", "localhost:x", "\x80", "0"),
        ],
    )
    def test_no_other_one_is(self, header):
        """Nor what merely looks like one, nor a second one after a good one."""
        hosts = Hosts("127.0.0.1", "127.0.0.1")
        assert refused(hosts, header) == header.encode().decode("latin-1")
        assert refused(hosts, "localhost", header) is not None

    def test_a_request_without_the_header_comes_from_no_browser(self):
        """HTTP/1.0 has none."""
        assert refused(Hosts("127.0.0.1", "127.0.0.1")) is None

    def test_the_machine_has_names_where_it_listens_everywhere(self, monkeypatch):
        """Its own, and that of its local network; on one address only, that one is meant."""
        monkeypatch.setattr(socket, "gethostname", lambda: "room.school.example")
        everywhere, here = Hosts("0.0.0.0", "0.0.0.0"), Hosts("127.0.0.1", "127.0.0.1")
        for name in ("room", "room.local", "room.school.example", "0.0.0.0"):
            assert refused(everywhere, name) is None
            assert refused(here, name) == name
        assert refused(Hosts("room.lan", "10.0.0.7"), "room.lan", "10.0.0.7") is None

    def test_an_address_of_a_link_has_a_zone_that_does_not_count(self):
        """Clients send it or not."""
        hosts = Hosts("fe80::1%eth0", "fe80::1%eth0")
        assert (
            refused(hosts, "[fe80::1]:80", "[fe80::1%25eth0]", server=("fe80::1%eth0", 80)) is None
        )


def test_a_page_of_another_site_gets_no_answer():
    """Its name may point here; it reads neither the description nor anything else."""
    session = approval()
    endpoint = session.serve(allowed_hosts=["room.example"])
    me = {"Authorization": f"Bearer {endpoint.token}"}
    for path in ("/docs", "/openapi.json", "/", f"{PATH}/clock", "/nothing"):
        answer = httpx.get(endpoint.url + path, headers=me | {"Host": "evil.example"})
        assert answer.status_code == 421
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["instance"] == path
        for word in ("evil.example", "allowed_hosts=['NAME']", "--allow-host NAME"):
            assert word in answer.json()["detail"]
        for host in ("localhost:1", "[::1]", "room.example"):
            answer = httpx.get(endpoint.url + path, headers=me | {"Host": host})
            assert answer.status_code < 400 or path == "/nothing"
    endpoint.stop()
