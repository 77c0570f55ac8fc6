"""What a session shows: its records, its instances, and how a step stands side by side."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from attrs import evolve

from asyncsim.engine.contexts import WaitContext
from asyncsim.engine.environment import EventKind
from asyncsim.engine.result import DELIVERY_OUTCOMES, DeliveryColumns, Outcome, Record
from asyncsim.engine.tables import INSTANCE_OUTCOMES, with_timestamps
from asyncsim.engine.waits import Answer, State, Wait
from asyncsim.live.live_simulation import LiveSimulation
from asyncsim.live.store import Store
from asyncsim.model.scenario import Scenario
from asyncsim.model.scenario_files import told_apart
from asyncsim.model.strategy_base import schedule_of
from asyncsim.model.validation import scenario_error

LONGEST_LIKE = 1000
"""Characters; SQLite takes no pattern that is much longer."""
COLUMNS = ["serial_number", "instance", "process", "step", "system", "armed", "deadline"]
LISTED = """
select w.serial_number, w.instance, w.step, w.system, w.armed, d.due
from waits w left join deadlines d on d.serial_number = w.serial_number
where w.state = 'waiting'
"""
FITS = (
    " and ("
    + " or ".join(f"w.{name} like ? escape '!'" for name in ("serial_number", "step", "system"))
    + ")"
)
IN_ORDER = " order by w.instance, w.number"


def waiting(store: Store, scenario: Scenario, now: float) -> pd.DataFrame:
    """Return all waiting records."""
    return _table(store.all(LISTED + IN_ORDER), scenario, now)


def page(
    store: Store, scenario: Scenario, now: float, like: str, first: int, most: int
) -> tuple[int, pd.DataFrame]:
    """Return how many waiting records fit a text, and some of them."""
    if len(like) > LONGEST_LIKE:
        raise scenario_error("like", f"must have {LONGEST_LIKE} characters at most", like)
    with store.lock:
        plain = re.sub("([%_!])", r"!\1", like)
        fits = (f"{plain}%", f"%{plain}%", f"%{plain}%") if like else ()
        where = FITS if like else ""
        count = f"select count(*) from waits w where w.state = 'waiting'{where}"
        total = int(store.one(count, fits)[0])
        rows = store.all(f"{LISTED}{where}{IN_ORDER} limit ? offset ?", (*fits, most, first))
    return total, _table(rows, scenario, now)


def _table(rows: list[Any], scenario: Scenario, now: float) -> pd.DataFrame:
    name = scenario.process.name
    cells = [(number, k, name, step, system, *rest) for number, k, step, system, *rest in rows]
    table = pd.DataFrame(cells, columns=COLUMNS)
    table = table.astype({"armed": float, "deadline": float})
    table.insert(6, "waiting_for", now - table["armed"])
    return with_timestamps(table, scenario.calendar, ("armed", "deadline"))


RECORD = (
    "serial_number",
    "instance",
    "step",
    "system",
    "state",
    "called",
    "armed",
    "completed",
    "closed",
    "checks",
    "deliveries",
    "data",
)


def record(store: Store, serial_number: str) -> dict[str, Any] | None:
    """Return the record of one wait as it stands in the store; times are seconds or None."""
    columns = ", ".join(f"w.{name}" for name in RECORD)
    found = store.one(
        f"select {columns}, d.due from waits w "
        "left join deadlines d on d.serial_number = w.serial_number where w.serial_number = ?",
        (serial_number,),
    )
    if found is None:
        return None
    values = dict(zip((*RECORD, "deadline"), found, strict=True))
    return values | {"data": store.parsed(values["data"])}


def instance(store: Store, lane: LiveSimulation, number: int) -> dict[str, Any]:
    """Return how an instance stands."""
    row = number - 1
    numbers = store.all(
        "select serial_number from waits where instance = ? order by number", (number,)
    )
    ended = lane.ended[row]
    return {
        "instance": number,
        "process": lane.scenario.process.name,
        "outcome": INSTANCE_OUTCOMES[Outcome(lane.outcomes[row])],
        "arrived": float(lane.numbers.arrivals[row]),
        "ended": None if math.isnan(ended) else ended,
        "fields": dict(lane.fields.get(row, {})),
        "waits": [record(store, serial_number) for (serial_number,) in numbers],
    }


def beside(
    lanes: Sequence[LiveSimulation], serial_number: str, scenario: Scenario, now: float
) -> pd.DataFrame:
    """Return how one step stands in each lane: when it resumed, or is checked next."""
    rows = []
    for lane, label in zip(lanes, told_apart([one.strategy for one in lanes]), strict=True):
        wait = lane.waits.records.get(serial_number)
        if wait is None:
            rows.append((label, "not called yet", *[math.nan] * 4, 0))
            continue
        resumed = wait.closed if wait.state is State.FINISHED else math.nan
        completed = wait.completed if wait.completed < math.inf else math.nan
        latency = (now if math.isnan(resumed) else resumed) - completed
        state = "resumed" if wait.state is State.FINISHED else wait.state.value
        due, checks = next_check(lane, wait, now)
        rows.append((label, state, completed, resumed, latency, due, checks))
    names = ["strategy", "state", "completed", "resumed", "latency", "next_check", "checks"]
    table = pd.DataFrame(rows, columns=names)
    return with_timestamps(table, scenario.calendar, ("completed", "resumed", "next_check"))


def with_turned_away(
    record: Record, finishes: Sequence[tuple[str, int, int, float, str]]
) -> Record:
    """Return what has happened with the finishes from outside that changed nothing.

    They take no part in the simulation; each is a delivery to its wait all the same.
    """
    if not finishes:
        return record
    numbers, instances, nodes, instants, answers = zip(*finishes, strict=True)
    d, waits = record.deliveries, record.waits
    codes = [DELIVERY_OUTCOMES.index(Answer[answer].text) for answer in answers]
    sent = np.array(instants, dtype=float)
    before = Counter(d.serial_numbers or ())
    attempts = []
    for number in numbers:
        attempts.append(before[number])
        before[number] += 1
    more = Counter(numbers)
    return evolve(
        record,
        deliveries=DeliveryColumns(
            np.append(d.row, np.array(instances) - 1),
            np.append(d.node, nodes),
            np.append(d.attempt, attempts),
            np.append(d.sent, sent),
            np.append(d.arrived, sent),
            np.append(d.handled, sent),
            np.append(d.outcome, codes),
            [*(d.serial_numbers or ()), *numbers],
        ),
        waits=evolve(
            waits,
            deliveries=waits.deliveries
            + np.array([more[number] for number in waits.serial_numbers or ()], dtype=np.int64),
        ),
    )


def next_check(lane: LiveSimulation, wait: Wait, now: float) -> tuple[float, int]:
    """Return when a waiting step is checked next, if by a schedule, and its checks so far."""
    schedule = schedule_of(lane.strategy)
    if schedule is None or wait.state is not State.ARMED:
        return math.nan, wait.checks
    step = WaitContext(lane, wait, EventKind.CHECK_DUE)
    step.checks = 0
    schedule.skip(step, np.nextafter(now, math.inf))
    return float(schedule.next_check(step)), step.checks if lane.skipped else wait.checks
