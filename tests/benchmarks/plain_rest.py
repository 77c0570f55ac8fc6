"""The least that finishes steps durably over REST: FastAPI and one table of SQLite, by hand.

``python tests/benchmarks/plain_rest.py FILE COUNT`` serves it; it prints its address and its token.
"""

from __future__ import annotations

import secrets
import socket
import sqlite3
import sys

import uvicorn
from fastapi import FastAPI, Request, Response


def application(file: str, waiting: int, token: str) -> FastAPI:
    """Return the app, with steps 1_2 to ``waiting``_2 that wait."""
    db = sqlite3.connect(file, isolation_level=None)
    db.executescript(
        "pragma journal_mode = wal; pragma synchronous = full; "
        "create table waits (serial_number text primary key, state text, data text); begin"
    )
    rows = [(f"{k}_2", "waiting") for k in range(1, waiting + 1)]
    db.executemany("insert into waits (serial_number, state) values (?, ?)", rows)
    db.execute("commit")
    app = FastAPI()

    @app.post("/api/workflow/v1/serverEvents/{number}/finish")
    async def finish(number: str, request: Request) -> Response:
        if request.headers.get("authorization") != f"Bearer {token}":
            return Response(status_code=401)
        update = (
            "update waits set state = 'finished', data = ? where serial_number = ? and state = "
        )
        changed = db.execute(update + "'waiting'", ((await request.body()).decode(), number))
        if changed.rowcount:
            return Response(status_code=204)
        known = db.execute("select 1 from waits where serial_number = ?", (number,)).fetchone()
        return Response(status_code=409 if known else 404)

    return app


if __name__ == "__main__":
    listener, secret = socket.create_server(("127.0.0.1", 0)), secrets.token_urlsafe(24)
    made = application(sys.argv[1], int(sys.argv[2]), secret)
    print(listener.getsockname()[1], secret, flush=True)
    config = uvicorn.Config(made, lifespan="off", log_level="warning", access_log=False)
    uvicorn.Server(config).run([socket.socket(fileno=listener.detach(), proto=socket.IPPROTO_TCP)])
