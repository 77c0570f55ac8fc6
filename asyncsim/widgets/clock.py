"""A session's clock in a widget: what it shows, and what the buttons do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from asyncsim.errors import ScenarioError
from asyncsim.live.moments import batches
from asyncsim.live.session import Session

SPEEDS = (1.0, 10.0, 60.0, 600.0, 3600.0, 36_000.0)
"""Simulated seconds per real second that can be chosen from."""
MOMENT = "%a %Y-%m-%d %H:%M:%S"
SHORT = "%a %d %b %H:%M:%S"
"""Where there are many below each other."""


def clock_of(session: Session) -> dict[str, Any]:
    """Return how the clock stands."""
    return {"at": f"{session.at:{MOMENT}}", "playing": session.playing, "speed": session.speed}


def choices_of(session: Session) -> dict[str, Any]:
    """Return what does not change while a session goes on."""
    return {
        "scenario": session.scenario.name,
        "speeds": sorted({*SPEEDS, session.speed}),
        "batch": bool(batches(session.scenario)),
        "why_no_reset": session.why_no_reset,
    }


def _step(session: Session, _: Mapping[str, Any]) -> None:
    if not session.step():
        raise ScenarioError("nothing happens any more by itself")


def _until(session: Session, message: Mapping[str, Any]) -> None:
    moment = str(message.get("moment", "")).strip()
    if not moment:
        raise ScenarioError("a moment is needed, such as 12:00 or 2026-01-06 07:00")
    session.run_until(moment)


def _speed(session: Session, message: Mapping[str, Any]) -> None:
    session.speed = message.get("speed", session.speed)


DEEDS: dict[str, Callable[[Session, Mapping[str, Any]], object]] = {
    "play": lambda session, _: session.play(),
    "pause": lambda session, _: session.pause(),
    "speed": _speed,
    "step": _step,
    "until": _until,
    "batch": lambda session, _: session.run_to_next_batch(),
    "reset": lambda session, _: session.reset(),
}
"""What a page may ask of the clock, by the name it has in the message."""
