"""What the REST endpoint says, as JSON documents; names are spelt as in K2."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

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

    model_config = ConfigDict(extra="forbid")  # a slip of the pen would call a second time

    call: bool = Field(True, description="Call the external system again, or only wait again.")


class SerialNumber(BaseModel):
    """The number under which a step waits now."""

    serialNumber: str


class ClockState(BaseModel):
    """The session's clock."""

    now: str = Field(description=MOMENT)
    speed: float = Field(description="Simulated seconds per real second.")
    playing: bool
