"""The REST endpoint of a live session, shaped after K2's Workflow REST API.

Only ``POST serverEvents/{serialNumber}/finish`` → ``204`` is documented by the vendor of K2; the
other paths follow its naming, and their answers are ours. First come the JSON documents, spelt as
in K2, then the checks of a request, the paths, and the group commit of finishes.
"""

from __future__ import annotations

import asyncio
import json
import math
import secrets
import threading
import time
from collections.abc import Mapping, Sequence
from html import escape
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, Header, Query, Request, Response
from fastapi.responses import RedirectResponse
from fastapi.security import APIKeyQuery, HTTPAuthorizationCredentials, HTTPBearer
from fastapi_offline import FastAPIOffline
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.concurrency import run_in_threadpool

from asyncsim.engine.environment import admission
from asyncsim.engine.waits import Answer
from asyncsim.errors import ScenarioError, StoreError, UnknownSerialNumber
from asyncsim.live.http_server import Problem, answer_problems, described_problems, problem
from asyncsim.live.journal import KEY, MOST_BYTES, Finish, data_fields
from asyncsim.live.records import LONGEST_LIKE
from asyncsim.live.session import MOST, Session
from asyncsim.live.setup import PATH
from asyncsim.live.store import as_text
from asyncsim.model.server import RateLimit
from asyncsim.model.units import nearest

MOMENT = "Date and time of the scenario's calendar (ISO 8601), with an offset if it has a zone."


class ServerEvent(BaseModel):
    """A step that waits for the outside, or has waited."""

    serialNumber: str = Field(examples=["5_31"])
    instanceId: int
    workflow: str
    step: str
    system: str
    state: str = Field(examples=["waiting"])
    waitingSince: str | None = Field(None, description=MOMENT)
    deadline: str | None = Field(None, description=MOMENT)
    dataFields: dict[str, Any] | None = Field(None, description="Handed back by the finish.")


class ServerEvents(BaseModel):
    """Some of the server events that wait now."""

    total: int
    items: list[ServerEvent]


class Instance(BaseModel):
    """One run of the workflow."""

    id: int
    workflow: str
    outcome: str = Field(examples=["running"])
    started: str | None = Field(description=MOMENT)
    ended: str | None = Field(None, description=MOMENT)
    dataFields: dict[str, Any]
    serverEvents: list[ServerEvent]


class Started(BaseModel):
    """An instance that was started."""

    id: int


class Workflow(BaseModel):
    """A workflow that can be started."""

    id: int
    name: str
    steps: list[str]


class RetryOptions(BaseModel):
    """How a step is tried again."""

    model_config = ConfigDict(extra="forbid")  # with a typo it would call a second time

    call: bool = Field(True, description="Call the external system again, or only wait again.")


class SerialNumber(BaseModel):
    """The number under which a step waits now."""

    serialNumber: str


class ClockState(BaseModel):
    """The session's clock."""

    now: str = Field(description=MOMENT)
    speed: float = Field(description="Simulated seconds per real second.")
    playing: bool


ABOUT = f"""
A scenario on a clock. Steps that wait are *server events*: finish one by its serial number, such as
`5_31`, and its process goes on.

Only `POST {PATH}/serverEvents/{{serialNumber}}/finish` with the answer `204` is documented by the
vendor of K2. All other answers here are this server's own, and follow HTTP.

Serial numbers are small whole numbers in order, and easy to guess. What protects a step is the
right to call: give the token as `Authorization: Bearer …` (the button *Authorize*), or as
`?token=…`.
"""
WORKFLOW = 1  # number of the only workflow of a session
KEY_HELP = (
    "The same finish with the same key gets the answer of the first one again, also after a crash."
)
LIST_QUERY = ("limit", "offset", "like")
BEARER = HTTPBearer(auto_error=False)  # the places where a token may stand, also in OpenAPI
IN_QUERY = APIKeyQuery(name="token", auto_error=False)


class RateLimiter:
    """Admits as many requests of the real world as a limit allows; all if there is none."""

    def __init__(self, limit: RateLimit | None) -> None:
        self._admission = admission(limit)
        self._lock = threading.Lock()

    def __call__(self) -> None:
        """Raise a 429 for a request above the limit."""
        if self._admission is None:
            return
        with self._lock:
            pause = self._admission.admit(time.monotonic())
        if pause > 0:
            again = {"Retry-After": str(int(pause) + 1)}
            raise Problem(429, f"Too many requests: try again in {pause:.1f} s.", headers=again)


def guard(token: str, limit: RateLimit | None) -> Any:
    """Return a dependency that admits requests which hold the token, up to the rate limit."""
    check_limit = RateLimiter(limit)

    async def check(  # in the loop: a thread costs more
        request: Request,
        bearer: Annotated[HTTPAuthorizationCredentials | None, Depends(BEARER)],
        in_query: Annotated[str | None, Depends(IN_QUERY)],
    ) -> None:
        given = (bearer.credentials.strip() if bearer else "") or in_query or ""
        if not secrets.compare_digest(given.encode(), token.encode()):
            words = (
                "Give the token that was printed when the endpoint was started, as "
                "'Authorization: Bearer …' or as '?token=…'."
            )
            raise Problem(401, words, headers={"WWW-Authenticate": "Bearer"})
        check_limit()
        known = ["token", *(LIST_QUERY if request.scope["path"].endswith("/serverEvents") else ())]
        for name in request.query_params:
            if name not in known:
                words, hint = ", ".join(repr(word) for word in known), nearest(name, known)
                raise Problem(400, f"The query may have {words}, got {name!r}{hint}")

    return check


async def body_fields(request: Request) -> dict[str, Any] | None:
    """Return the body: nothing, or a JSON object of data fields of 64 kB at most."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MOST_BYTES:
            raise Problem(413, f"Send at most {MOST_BYTES} bytes of data fields.")
    if not body.strip():
        return None
    try:
        fields = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Problem(400, f"The body must be a JSON object: {error}.") from None
    if not isinstance(fields, dict):
        raise Problem(400, 'The body must be a JSON object of data fields, as {"InvoiceNo": 42}.')
    return fields


def checked(fields: dict[str, Any] | None) -> dict[str, Any] | None:
    """Return data fields, checked; raise a 400 if a record cannot hold them."""
    with problem(400, ScenarioError):
        return None if fields is None else data_fields(fields)


def _json_body(**content: object) -> dict[str, Any]:
    return {"requestBody": {"required": False, "content": {"application/json": content}}}


async def _session(request: Request) -> Session:  # in the loop: a thread costs more
    session: Session = request.app.state.session
    return session


DataFields = Annotated[dict[str, Any] | None, Depends(body_fields)]
Served = Annotated[Session, Depends(_session)]
BODY = _json_body(schema={"type": "object"}, example={"InvoiceNo": 42})
router = APIRouter(prefix=PATH, responses=described_problems(400, 401, 408, 421, 429, 503))


def application(session: Session, token: str, limit: RateLimit | None = None) -> FastAPI:
    """Return the application that serves a session to requests with a token, up to a rate limit."""
    title = escape(f"asyncsim: {session.scenario.name}")  # it goes into the page as it is
    app: FastAPI = FastAPIOffline(title=title, version="1", description=ABOUT, redoc_url=None)
    finish_limit = session.scenario.server.finish_limit
    app.state.session = session
    app.state.group_commit = GroupCommit(session)
    app.state.check_limit = RateLimiter(finish_limit if limit is None else None)
    app.include_router(router, dependencies=[Depends(guard(token, limit))])
    app.get("/", include_in_schema=False)(lambda: RedirectResponse("/docs"))
    answer_problems(app, session)
    return app


def _moment(session: Session, instant: float | None) -> str | None:
    if instant is None or math.isnan(instant):
        return None
    return session.timestamp(instant).isoformat()


def _event(session: Session, record: Mapping[str, Any]) -> ServerEvent:
    return ServerEvent(
        serialNumber=record["serial_number"],
        instanceId=record["instance"],
        workflow=session.scenario.process.name,
        step=record["step"],
        system=record["system"],
        state=record.get("state", "waiting"),
        waitingSince=_moment(session, record["armed"]),
        deadline=_moment(session, record["deadline"]),
        dataFields=record.get("data"),
    )


@router.get("/serverEvents", tags=["server events"])
def list_server_events(
    session: Served,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    offset: Annotated[int, Query(ge=0, le=MOST)] = 0,
    like: Annotated[
        str, Query(description="Part of a number, a step or a system.", max_length=LONGEST_LIKE)
    ] = "",
) -> ServerEvents:
    """List the steps that wait now."""
    total, page = session.page(like, offset, limit)
    rows: Any = page.to_dict("records")
    return ServerEvents(total=total, items=[_event(session, record) for record in rows])


@router.get(
    "/serverEvents/{serialNumber}", tags=["server events"], responses=described_problems(404)
)
def get_server_event(session: Served, serialNumber: str) -> ServerEvent:
    """Return one step, in whatever state it is."""
    with problem(404, UnknownSerialNumber):
        return _event(session, session.wait(serialNumber))


@router.post(
    "/serverEvents/{serialNumber}/finish",
    status_code=204,
    tags=["server events"],
    openapi_extra=BODY,
    responses={
        201: {"description": "Another run was started."},
        202: {"description": "Kept until the step waits, or waits again."},
        **described_problems(404, 409, 410, 413, 422),
    },
)
async def finish_server_event(
    serialNumber: str,
    request: Request,
    idempotency: Annotated[
        str | None, Header(alias="Idempotency-Key", description=KEY_HELP, pattern=f"^{KEY}$")
    ] = None,
    webhook: Annotated[
        str | None, Header(alias="webhook-id", description=KEY_HELP, pattern=f"^{KEY}$")
    ] = None,
) -> Response:
    """Finish a step: its process continues, with the data fields that are handed back."""
    state = request.app.state
    session: Session = state.session
    state.check_limit()
    fields = checked(await body_fields(request))
    given = Finish(as_text(serialNumber), fields, webhook if idempotency is None else idempotency)
    with problem(422, ScenarioError):
        answer: Answer = await state.group_commit.finish(given)
    status = session.setup.status_of(answer)
    if status < 400:
        return Response(status_code=status)
    raise session.error_for(answer, serialNumber)


@router.post(
    "/serverEvents/{serialNumber}/heartbeat",
    status_code=204,
    tags=["server events"],
    responses=described_problems(404, 409, 410),
)
def heartbeat(session: Served, serialNumber: str) -> Response:
    """Send a heartbeat to keep the step from timing out."""
    session.heartbeat(serialNumber)
    return Response(status_code=204)


@router.post(
    "/serverEvents/{serialNumber}/retry",
    tags=["server events"],
    openapi_extra=_json_body(schema=RetryOptions.model_json_schema()),
    responses=described_problems(404, 409, 410, 413),
)
def retry(session: Served, serialNumber: str, fields: DataFields) -> SerialNumber:
    """Enter a step again, as an operator does; it then waits under a new number."""
    try:
        options = RetryOptions.model_validate(fields or {}, strict=True)
    except ValidationError:
        given = f'The body may be {{}} or {{"call": true or false}}, got {fields!r:.80}.'
        raise Problem(400, given) from None
    return SerialNumber(serialNumber=session.retry(serialNumber, call=options.call))


def _check_workflow(workflow: int) -> None:
    if workflow != WORKFLOW:
        raise Problem(404, f"There is one workflow here, number {WORKFLOW}.")


@router.get("/workflows", tags=["workflows"])
def list_workflows(session: Served) -> list[Workflow]:
    """List what can be started."""
    process = session.scenario.process
    steps = [element.name for element in process.parts() if element.numbered]
    return [Workflow(id=WORKFLOW, name=process.name, steps=steps)]


@router.post(
    "/workflows/{workflow}",
    status_code=201,
    tags=["workflows"],
    openapi_extra=BODY,
    responses=described_problems(404, 409, 413),
)
def start_workflow(
    session: Served, workflow: int, fields: DataFields, response: Response
) -> Started:
    """Start an instance, with data fields."""
    _check_workflow(workflow)
    number = session.start(checked(fields))
    response.headers["Location"] = f"{PATH}/workflows/{WORKFLOW}/instances/{number}"
    return Started(id=number)


@router.get(
    "/workflows/{workflow}/instances/{instance}",
    tags=["workflows"],
    responses=described_problems(404),
)
def get_instance(session: Served, workflow: int, instance: int) -> Instance:
    """Return the state of an instance."""
    _check_workflow(workflow)
    with problem(404, ScenarioError):
        found = session.instance(instance)
    return Instance(
        id=instance,
        workflow=found["process"],
        outcome=found["outcome"],
        started=_moment(session, found["arrived"]),
        ended=_moment(session, found["ended"]),
        dataFields=found["fields"],
        serverEvents=[_event(session, record) for record in found["waits"]],
    )


@router.get("/clock", tags=["clock"])
def get_clock(session: Served) -> ClockState:
    """Return the present moment of the scenario."""
    return ClockState(now=session.at.isoformat(), speed=session.speed, playing=session.playing)


MOST_TOGETHER = 100  # finishes in a group, so that each is answered soon


class GroupCommit:
    """Plays the finishes that wait at the same moment together, in a thread, with one commit."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._gathering: list[Finish] | None = None
        self._task: asyncio.Task[Sequence[str | Exception]] | None = None  # plays the last group

    async def finish(self, given: Finish) -> Answer:
        """Return the answer to a finish when it is durable, or raise the error it has led to."""
        before = None if self._task is None or self._task.done() else self._task
        group, task = self._gathering, before
        if group is None or task is None or len(group) == MOST_TOGETHER:
            group = self._gathering = []
            task = self._task = asyncio.create_task(self._play(group, before))
        group.append(given)
        place = len(group) - 1
        answer = (await asyncio.shield(task))[place]
        if isinstance(answer, Exception):
            raise answer
        return Answer[answer]

    async def _play(
        self, group: list[Finish], before: asyncio.Task[Any] | None
    ) -> Sequence[str | Exception]:
        if before is not None:
            await asyncio.wait([before])
        if group is self._gathering:
            self._gathering = None
        return await run_in_threadpool(self._answers, group)

    def _answers(self, inputs: Sequence[Finish]) -> Sequence[str | Exception]:
        """Return the answer to each input, or its error."""
        try:
            return self._session.apply(inputs)
        except StoreError as error:
            return [error] * len(inputs)
        except Exception as error:  # perhaps of one of them; the others are done without it
            if len(inputs) == 1:
                return [error]
            return [answer for given in inputs for answer in self._answers([given])]
