"""Requests, resume files and stores: refused by an error of asyncsim, or right."""

import asyncio
import json
import shutil
import sqlite3
from contextlib import closing, suppress
from urllib.parse import quote, unquote

import pandas as pd
import pytest
from fuzz.mutators import IN_A_FILE, WORDS, cases, damage_bytes, damage_table, guarded, pick

import asyncsim as sim
from asyncsim.live.rest import application
from asyncsim.live.setup import PATH

TOKEN = "secret"


def approval():
    """Return a scenario whose steps wait for people: instance k as ``k_1``."""
    return sim.Scenario(
        name="approval",
        process=sim.Process(
            "p", [sim.AsyncStep("approve", "people"), sim.AsyncStep("sign", "people")]
        ),
        systems={"people": sim.People(2, "10min")},
        arrivals=sim.Regular("1s"),
        length="10s",
    )


# --- REST ---------------------------------------------------------------------------------------


async def status(app, method, path, query, headers, body):
    """Return the status that an application answers to a request, whose body comes in two parts."""
    half = len(body) // 2
    parts = [
        {"type": "http.request", "body": body[:half], "more_body": True},
        {"type": "http.request", "body": body[half:], "more_body": False},
    ]
    found = []

    async def receive():
        return parts.pop(0) if parts else {"type": "http.disconnect"}

    async def send(message):
        if message["type"] == "http.response.start":
            found.append(message["status"])

    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method,
        "scheme": "http", "path": unquote(path.decode("latin-1")), "raw_path": path,
        "root_path": "", "query_string": query, "headers": headers, "client": ("::1", 1),
        "server": ("::1", 80),
    }  # fmt: skip
    await app(scope, receive, send)
    return found[0]


def request(rng):
    """Make up a request: method, path, query, headers, body."""
    words = ["1_1", "2_1", "9_2", "5_31", "0", "1", "-1", *WORDS]
    parts = ["serverEvents", "workflows", "instances", "finish", "heartbeat", "retry", "clock"]
    bones = [
        *["serverEvents", "serverEvents/{}", "serverEvents/{}/finish", "serverEvents/{}/heartbeat"],
        *["serverEvents/{}/retry", "workflows", "workflows/{}/instances", "clock"],
        *["workflows/{}/instances/{}", "/".join(rng.choices([*parts, "{}", "..", ""], k=3))],
    ]
    at = rng.choice(bones)
    while "{}" in at:
        word = rng.choice(words)[:2000].encode("utf-8", "surrogatepass")
        at = at.replace("{}", quote(word, safe=rng.choice(["", "/", "/%"])), 1)
    path = (PATH + "/" + at).encode("latin-1", "replace")
    query = b""
    for _ in range(rng.choice([0, 0, 1, 2])):
        key = rng.choice(["offset", "limit", "serialNumber", "search", "state", *WORDS])[:500]
        value = quote(str(rng.choice(words))[:500].encode("utf-8", "surrogatepass"))
        query += f"&{quote(key.encode('utf-8', 'surrogatepass'))}={value}".encode()
    headers = [(b"authorization", f"Bearer {TOKEN}".encode())] * (rng.random() < 0.95)
    kind = rng.choice(
        ["application/json", "text/plain", "multipart/form-data; boundary=x", "", "x/y"]
    )
    headers.append((b"content-type", kind.encode()))
    for _ in range(rng.choice([0, 0, 1, 2])):
        name = rng.choice(["content-length", "accept", "host", "authorization", "if-match", "x"])
        headers.append((name.encode(), rng.choice(WORDS)[:900].encode("utf-8", "replace")))
    document = {str(rng.choice(WORDS)): pick(rng, IN_A_FILE) for _ in range(rng.randrange(4))}
    damage_table(document, rng)
    body = b""
    with suppress(ValueError):
        body = json.dumps(document, default=str).encode()
    body = rng.choice([body, body, damage_bytes(body, rng), b"", b"[" * 9999, b"null", b"\xff"])
    method = rng.choice(
        ["GET", "GET", "POST", "POST", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "X"]
    )
    damaged = rng.random() < 0.1
    return method, damage_bytes(path, rng) if damaged else path, query, headers, body


def test_requests():
    """No request of any kind is answered by a status of 500 or more."""
    session = sim.live(approval(), hold=True)
    session.run_until(10)
    app = application(session, TOKEN)
    with asyncio.Runner() as runner:
        for _, rng in cases("requests", 600):
            asked = request(rng)
            with guarded(*asked):
                answer = runner.run(status(app, *asked))
                assert 200 <= answer < 500, f"the status is {answer}"
    session.close()


# --- resume files -------------------------------------------------------------------------------


def swept(resume):
    """Play a small sweep, or read it from its file."""
    options = {"replications": 2, "engine": "simpy", "progress": False, "resume": resume}
    return sim.sweep(approval(), {"server.workers": [1, 2]}, [sim.Callback("1s")], **options).table


def garble(path, rng):
    """Damage a database: its bytes, its pages, its rows or its tables."""
    data = path.read_bytes()
    how = rng.randrange(4)
    if how == 0:
        path.write_bytes(damage_bytes(data, rng, 4096))
        return "bytes"
    if how == 1:
        path.write_bytes(data[: rng.choice([0, 1, 50, 100, 4096, len(data) // 2, len(data) - 1])])
        return "cut"
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        names = [
            row[0] for row in db.execute("select name from sqlite_master where type = 'table'")
        ]
        table = rng.choice(sorted(names))
        columns = [row[1] for row in db.execute(f"pragma table_info({table})")]
        column, other = rng.choice(columns), rng.choice(columns)
        value = rng.choice(
            [None, 0, -1, 2**62, 1e300, "", "x", b"\xff\0", "{", "[]", '{"a": 1}', "nan"]
        )
        some = rng.choice(["1", f"{column} = (select max({column}) from {table})"])
        statement = rng.choice(
            [
                *[f"update {table} set {column} = ? where {some}"] * 4,
                f"update {table} set {column} = {other} where ? is 1 or {some}",
                f"delete from {table} where ? is 1 or {some}",
                f"alter table {table} rename to other",
                f"drop table {table}",
            ]
        )
        with suppress(sqlite3.Error):
            db.execute(statement, (value,) if "?" in statement else ())
        return statement, value


@pytest.mark.filterwarnings("ignore:resume. .* rows? of:UserWarning")
def test_resume_files(tmp_path):
    """A damaged file of a sweep is refused, or the sweep has what it has without the file."""
    swept(tmp_path / "good")
    truth = swept(tmp_path / "good")
    for k, rng in cases("resume", 150):
        shutil.copy(tmp_path / "good", path := tmp_path / "damaged")
        how = garble(path, rng)
        with guarded(f"case {k} of resume files", how):
            pd.testing.assert_frame_equal(swept(path), truth)


# --- stores -------------------------------------------------------------------------------------


def seen(session):
    """Return all that a session has: records, data fields, what came from outside."""
    instances = [session.instance(k + 1) for k in range(session.instances_count)]
    return repr((session.waiting.to_dict("records"), instances, session.answers.to_dict("records")))


def kept(path):
    """Return what a store's session has after it went on for a while, and its journal."""
    session = sim.live(store=path)
    try:
        before = seen(session)
        session.run_until("1min")
        return before, seen(session)
    finally:
        session.close()


@pytest.fixture
def good(tmp_path):
    """A store with records, data fields and a journal; one finish has not been looked at."""
    path = tmp_path / "good.db"
    session = sim.live(approval(), hold=True, store=path)
    session.run_until(8)
    session.finish("1_1", {"InvoiceNo": 42})
    session.finish("2_1", {"text": "é"})
    session.run_until(9)
    session.close()
    sim.finish_in_store(path, "3_1", {"x": [1, 2]})
    return path


def test_stores(good, tmp_path):
    """A damaged store is refused, or its session is as it was: opened, replayed, finished."""
    shutil.copy(good, tmp_path / "whole.db")
    truth = kept(tmp_path / "whole.db")
    for k, rng in cases("stores", 150):
        for old in tmp_path.glob("damaged.db*"):
            old.unlink()
        shutil.copy(good, path := tmp_path / "damaged.db")
        how = garble(path, rng)
        action = rng.choice(["open", "open", "replay", "finish"])
        with guarded(f"case {k} of stores", action, how):
            if action == "open":
                assert kept(path) == truth, "the session is not as it was"
            elif action == "replay":
                with closing(sim.replay(path)) as again:
                    again.run_to_end()
                    assert again.wait("1_1")["state"] == "finished"
                    assert again.instance(1)["fields"] == {"InvoiceNo": 42}
            else:
                sim.finish_in_store(path, "4_1", {"y": 1})
                with closing(sim.live(store=path)) as session:
                    assert session.wait("4_1")["state"] == "finished"
