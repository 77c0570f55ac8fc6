"""Serving: in a notebook's loop, in a thread, and by the command line."""

import asyncio
import errno
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

import asyncsim as sim
from asyncsim.cli import serve_command as cli_serving
from asyncsim.cli.main import main
from asyncsim.live import serve as serving
from asyncsim.live.endpoint import PATH

pytestmark = pytest.mark.slow

SCENARIO = sim.Scenario(
    name="approval",
    process=sim.Process("approve", [sim.AsyncStep("approve", "people")]),
    systems={"people": sim.People(2, "10min")},
    arrivals=sim.Regular("1s"),
    length="1min",
)


def test_it_serves_in_the_loop_that_runs_without_blocking_it():
    """The loop finishes a step over REST while it also moves the clock."""

    async def work():
        session = sim.live(SCENARIO, hold=True, speed=100.0)
        endpoint = session.serve()
        session.play()
        headers = {"Authorization": f"Bearer {endpoint.token}"}
        async with httpx.AsyncClient(base_url=endpoint.url + PATH, headers=headers) as client:
            while (await client.post("/serverEvents/5_1/finish")).status_code != 204:
                await asyncio.sleep(0.01)
            clock = (await client.get("/clock")).json()
        session.pause()
        endpoint.stop()
        await endpoint.stopped()
        return session, clock

    handler = signal.getsignal(signal.SIGINT)
    session, clock = asyncio.run(work())
    assert clock["playing"]
    assert session.instance(5)["outcome"] == "done"
    assert signal.getsignal(signal.SIGINT) is handler  # Ctrl-C still belongs to the kernel


def test_a_thread_answers_while_the_loop_is_blocked():
    """As when a cell of the notebook that serves calls the endpoint with requests or curl."""

    async def work():
        session = sim.live(SCENARIO, hold=True)
        endpoint = session.serve(thread=True)
        answer = httpx.get(endpoint.url + "/docs", timeout=10)  # blocks the loop
        endpoint.stop()
        return answer.status_code

    assert asyncio.run(work()) == 200


def test_it_stops_when_told_to():
    """And the port is free again."""
    session = sim.live(SCENARIO, hold=True)
    endpoint = session.serve()
    assert httpx.get(endpoint.url + "/docs").status_code == 200
    endpoint.stop()
    with pytest.raises(httpx.ConnectError):
        httpx.get(endpoint.url + "/docs")
    again = session.serve(port=int(endpoint.url.rsplit(":", 1)[1]))
    again.stop()


def test_the_endpoint_says_how_to_call_it():
    """In a notebook with a link; each has a token of its own."""
    session = sim.live(SCENARIO, hold=True)
    endpoints = [session.serve(), session.serve()]
    assert endpoints[0].token != endpoints[1].token
    assert len(endpoints[0].token) >= 32
    html = endpoints[0]._repr_html_()
    assert endpoints[0].curl("5_31") in html
    assert f"href='{endpoints[0].url}/docs'" in html
    assert endpoints[0].token not in repr(endpoints[0])  # that ends up in logs
    for endpoint in endpoints:
        endpoint.stop()


def test_what_stands_in_the_way_is_said(monkeypatch):
    """A port that is taken, one that is none, an unknown name, a package that is not there."""
    session = sim.live(SCENARIO)
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        taken = f"cannot listen on 127.0.0.1, port {port}: .*; another port may be free"
        with pytest.raises(sim.EngineError, match=taken):
            session.serve(port=port)
    with pytest.raises(sim.ScenarioError, match="port must be a whole number from 0 to 65535"):
        session.serve(port=70_000)
    no_host = r"cannot listen on no\.such\.host\.invalid, .*; check the name of the host"
    with pytest.raises(sim.EngineError, match=no_host):
        session.serve("no.such.host.invalid")
    with pytest.raises(sim.ScenarioError, match="rate_limit must be words"):
        session.serve(rate_limit="fast")
    monkeypatch.setattr(serving, "NEEDED", ("fastapi", "no_such_package"))
    with pytest.raises(sim.EngineError, match=r"no_such_package; install the extra"):
        session.serve()


@pytest.mark.parametrize("token", ["ü", "two words", "", 5, "a\n"])
def test_a_token_that_no_header_could_carry_is_refused(token):
    """It would shut out those who have it; what it was is not told, for a log to keep."""
    with pytest.raises(sim.ScenarioError, match="token must be visible ASCII characters") as told:
        sim.live(SCENARIO).serve(token=token)
    assert "two words" not in str(told.value)


@pytest.mark.parametrize("token", ["workshop", "x" * 15])
def test_a_token_that_can_be_guessed_is_refused(token):
    """Its length is told, and what to do."""
    with pytest.raises(sim.ScenarioError, match="token must have at least 16 characters") as told:
        sim.live(SCENARIO).serve(token=token)
    assert f"got {len(token)}; leave it out" in str(told.value)
    assert token not in str(told.value)


def test_the_line_for_a_terminal_holds_whatever_token_there_is():
    """Quotes would end it early; in a notebook a bracket would begin an element."""
    endpoint = sim.live(SCENARIO).serve(token="it's<b>&a-long-token")
    endpoint.stop()
    words = shlex.split(endpoint.curl("5_1"))
    assert words[words.index("-H") + 1] == "Authorization: Bearer it's<b>&a-long-token"
    assert "<b>" not in endpoint._repr_html_()


def test_beyond_this_machine_it_warns():
    """The token would travel in clear text."""
    session = sim.live(SCENARIO)
    with pytest.warns(UserWarning, match="clear text"):
        session.serve("0.0.0.0").stop()


def served(store, *more):
    """Start the command; return the process, its address, and the token."""
    command = [sys.executable, "-m", "asyncsim", "serve", "--store", store, "--port", "0", *more]
    # A shell's background jobs ignore Ctrl-C, and whoever runs the tests may be one
    listens = (
        None if sys.platform == "win32" else lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)
    )
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, preexec_fn=listens)
    words = {}
    for line in process.stdout:
        key, _, value = line.strip().partition(": ")
        words[key] = value
        if line.startswith("Ctrl-C"):
            break
    return process, words["description"].removesuffix("/docs"), words["token"]


def finish(url, token, number):
    """Finish a step as an external program does, as soon as it waits; return the status."""
    headers = {"Authorization": f"Bearer {token}"}
    while True:
        answer = httpx.post(f"{url}{PATH}/serverEvents/{number}/finish", headers=headers)
        if answer.status_code != 404:
            return answer.status_code
        time.sleep(0.02)


def test_the_command_is_killed_and_goes_on(tmp_path):
    """What was finished stays finished, what waited waits, and Ctrl-C ends it in good order."""
    file, store = tmp_path / "approval.toml", tmp_path / "w.db"
    SCENARIO.save(file)
    process, url, token = served(store, file, "--hold", "all", "--speed", "20")
    with process:
        assert finish(url, token, "5_1") == 204
        process.kill()
    process, url, token = served(store, "--speed", "20", "--token", "mine-and-mine-alone")
    with process:
        assert token == "mine-and-mine-alone"
        assert finish(url, token, "5_1") == 409
        assert finish(url, token, "6_1") == 204
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == 0
        assert "The same command resumes it." in process.stdout.read()
    session = sim.live(store=store)
    assert [session.wait(f"{k}_1")["state"] for k in (4, 5, 6)] == [
        "waiting",
        "finished",
        "finished",
    ]
    session.close()


def test_the_command_shows_a_number_that_waits_or_will():
    """Whoever copies the line at once is told how long nobody waits; later it finishes a step."""
    steps = [sim.Step("read"), sim.AsyncStep("approve", "people")]
    scenario = SCENARIO.replace(
        process=sim.Process("approve", steps, first_activation=7),
        arrivals=sim.Regular("1h", between=("08:00", "20:00")),
        length="1 day",
    )
    with sim.live(scenario, hold=True, speed=600.0) as session:
        assert cli_serving._example(session) == "5_8"
        assert cli_serving._first(session) == " (the first instance starts in 48 s, at 08:00:00)"
        session.run_until("09:30")
        assert cli_serving._example(session) == "1_8"
        assert cli_serving._first(session) == ""


def test_wrong_words_end_the_command_with_2(capsys):
    """And one line that says what would be right."""
    for words, message in (
        (["serve"], "needs a scenario, or a store"),
        (["serve", "data/person.toml", "--hold", "clrks", "--port", "0"], "did you mean 'clerks'"),
        (["serve", "data/person.toml", "--port", "70000"], "port must be"),
    ):
        assert main(words) == 2
        said = capsys.readouterr().err
        assert message in said
        assert len(said.strip().splitlines()) == 1


@pytest.mark.parametrize(
    "option",
    [
        ["--strategy", "polling 5min"],
        ["--seed", "9"],
        ["--seed", "0"],
        ["--hold", "nonsense"],
        ["--profile", "camunda 8"],
    ],
)
def test_a_store_knows_what_it_plays_and_no_option_is_dropped(tmp_path, capsys, option):
    """What would have no effect is refused, as in Python, in the words of the command."""
    sim.live(SCENARIO, store=tmp_path / "w.db").close()
    assert main(["serve", "--store", str(tmp_path / "w.db"), "--port", "0", *option]) == 2
    said = " ".join(option)
    assert f"{option[0]} needs a scenario; the store has its own, got {said}" in (
        capsys.readouterr().err
    )


def test_a_signal_to_end_ends_the_command_in_good_order(tmp_path):
    """SIGTERM, as a service manager sends it; what was done is in the store."""
    if sys.platform == "win32":
        pytest.skip("Windows has no SIGTERM to catch")
    file, store = tmp_path / "approval.toml", tmp_path / "w.db"
    SCENARIO.save(file)
    process, url, token = served(store, file, "--hold", "all", "--speed", "20")
    with process:
        assert finish(url, token, "5_1") == 204
        process.terminate()
        assert process.wait(timeout=30) == 0
        assert "closed at" in process.stdout.read()
    with sim.live(store=store) as session:
        assert session.wait("5_1")["state"] == "finished"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_request_under_way_is_answered_when_the_command_ends(tmp_path, number):
    """By Ctrl-C as by SIGTERM: one that has not arrived completely gets a 503."""
    if sys.platform == "win32":
        pytest.skip("Windows sends no signals to a process")
    file = tmp_path / "approval.toml"
    SCENARIO.save(file)
    process, url, token = served(tmp_path / "w.db", file, "--hold", "all")
    with process:
        half = f"POST {PATH}/serverEvents/5_1/finish HTTP/1.1\r\nHost: localhost\r\n"
        with socket.create_connection(("127.0.0.1", int(url.rsplit(":", 1)[1])), 30) as client:
            client.sendall(f"{half}Authorization: Bearer {token}\r\n".encode())
            assert httpx.get(f"{url}/docs").status_code == 200  # hence the other one has come
            process.send_signal(number)
            assert client.recv(65_536).startswith(b"HTTP/1.1 503")
        assert process.wait(timeout=30) == 0


def test_the_command_reads_its_token_from_a_file_or_the_environment(tmp_path, monkeypatch):
    """A list of processes does not show it then, and neither does what the command prints."""
    file, secret = tmp_path / "approval.toml", tmp_path / "a token"
    SCENARIO.save(file)
    secret.write_text("  token-in-a-file-of-mine \nmore\n")
    monkeypatch.setenv("ASYNCSIM_TOKEN", "token-of-the-environment")
    for options, token, shown in (
        (["--token-file", str(secret)], "token-in-a-file-of-mine", f"$(head -n 1 '{secret}')"),
        ([], "token-of-the-environment", "$ASYNCSIM_TOKEN"),
        (["--token", "token-of-the-option"], "token-of-the-option", "token-of-the-option"),
    ):
        process, url, printed = served(tmp_path / "w.db", file, "--hold", "all", *options)
        with process:
            assert printed == shown
            assert finish(url, token, "1_1") == 204
            process.terminate()
        (tmp_path / "w.db").unlink()


def test_a_line_for_a_terminal_may_leave_the_token_to_the_shell():
    """Quotes hold together what the shell puts there."""
    endpoint = sim.live(SCENARIO).serve()
    endpoint.stop()
    line = endpoint.curl("5_1", token_in_shell="$TOKEN")
    assert endpoint.token not in line
    assert ' -H "Authorization: Bearer $TOKEN" ' in line


def test_wrong_tokens_end_the_command_with_2(tmp_path, monkeypatch, capsys):
    """And one line that says where the token came from, and not what it was."""
    empty, short, odd = tmp_path / "empty", tmp_path / "short", tmp_path / "odd"
    empty.write_text("\nsecond-line-of-this-file\n")
    short.write_text("abc123\n")
    odd.write_bytes(b"\xff" * 20)
    monkeypatch.setenv("ASYNCSIM_TOKEN", "abc123")
    at_least = "token must have at least 16 characters, got 6; leave it out"
    for options, says in (
        ([], f"ASYNCSIM_TOKEN: {at_least}"),
        (["--token", "abc123"], f"--{at_least}"),
        (["--token-file", str(short)], f"--token-file {str(short)!r}: {at_least}"),
        (["--token-file", str(odd)], f"--token-file {str(odd)!r}: token must be visible ASCII"),
        (
            ["--token-file", str(empty)],
            f"--token-file {str(empty)!r} has no token in its first line",
        ),
        (["--token-file", str(tmp_path)], f"--token-file {str(tmp_path)!r} cannot be read (Is a"),
        (["--token-file", "none"], "--token-file 'none' cannot be read (No such file"),
        (["--token", "x" * 16, "--token-file", str(short)], "exclude each other"),
    ):
        assert main(["serve", "data/person.toml", "--port", "0", *options]) == 2
        said = capsys.readouterr().err
        assert says in said
        assert "abc123" not in said
        assert len(said.strip().splitlines()) == 1


def test_the_command_answers_to_further_hosts(tmp_path, capsys):
    """Those it is given; a wrong one ends it with 2."""
    file = tmp_path / "approval.toml"
    SCENARIO.save(file)
    hosts = ["--allow-host", "room.example", "--allow-host", "10.0.0.7"]
    process, url, _ = served(tmp_path / "w.db", file, *hosts)
    with process:
        answers = [
            httpx.get(f"{url}/docs", headers={"Host": host}).status_code
            for host in ("room.example", "10.0.0.7:80", "evil.example")
        ]
        process.terminate()
    assert answers == [200, 200, 421]
    assert main(["serve", str(file), "--port", "0", "--allow-host", "http://room"]) == 2
    assert "--allow-host must be a list of hosts without scheme" in capsys.readouterr().err


def test_thirty_people_share_one_server(tmp_path):
    """Each finishes instances of their own: the first finish is 204, the second 409, always."""
    file = Path(__file__).parents[2] / "data" / "workshop.toml"
    options = ["--hold", "all", "--token", "callback-workshop", "--speed", "60", str(file)]
    process, url, token = served(tmp_path / "room.db", *options)
    headers = {"Authorization": f"Bearer {token}"}

    def participant(seat):
        answers = []
        with httpx.Client(base_url=url + PATH, headers=headers, timeout=60) as client:
            for _ in range(3):
                number = f"{client.post('/workflows/1', json={'seat': seat}).json()['id']}_31"
                while client.get(f"/serverEvents/{number}").json().get("state") != "waiting":
                    time.sleep(0.05)
                paths = [f"/serverEvents/{number}/finish"] * 2
                answers.append((number, *(client.post(path).status_code for path in paths)))
        return answers

    try:
        with ThreadPoolExecutor(30) as room:
            answers = [one for many in room.map(participant, range(30)) for one in many]
    finally:
        process.terminate()
        process.communicate()
    assert {(first, second) for _, first, second in answers} == {(204, 409)}
    assert len({number for number, *_ in answers}) == 90


def test_a_browser_has_no_sockets_and_is_told_what_it_has(monkeypatch):
    """To try would end Python there."""
    session = sim.live(SCENARIO, hold=True)
    monkeypatch.setattr(sys, "platform", "emscripten")
    with pytest.raises(sim.EngineError, match=r"browser gives Python none.*session\.console\(\)"):
        session.serve()


def test_a_machine_without_sockets_is_told_so(monkeypatch):
    """No other port would help."""

    def fails(*_, **__):
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(socket, "create_server", fails)
    with pytest.raises(sim.EngineError, match="there are no sockets here"):
        sim.live(SCENARIO, hold=True).serve()


def test_where_no_thread_starts_a_loop_is_asked_for(monkeypatch):
    """The port is free again, and in a loop it is served all the same."""
    session = sim.live(SCENARIO, hold=True)
    port = serving.listening("127.0.0.1", 0)
    number = port.getsockname()[1]
    port.close()

    def fails(self):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", fails)
    with pytest.raises(sim.EngineError, match=r"none can be started here.*event loop"):
        session.serve(port=number)

    async def work():
        endpoint = session.serve(port=number)
        endpoint.stop()
        await endpoint.stopped()

    asyncio.run(work())
