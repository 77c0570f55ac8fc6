"""The event log of a run as XES, the XML of IEEE 1849-2016.

Every instance is a trace, with or without events: its attributes are ``arrived``, ``ended``,
``outcome`` and ``open_waits``, the number of its waits that are still open. Events and lifecycle
are those of `asyncsim.engine.run.Run.event_log`; ``serial_number`` and ``outcome`` belong to no
extension. The file is written trace by trace, so memory holds only the table of the events.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

import numpy as np
import pandas as pd

from asyncsim.engine.run import Run
from asyncsim.errors import ScenarioError
from asyncsim.eventlog.text_output import AT, in_zone, run_description, text_file

# Characters that XML 1.0 cannot represent, escaped or not
NOT_IN_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

# The schema of the standard requires this order of parts, and names without blanks
HEAD = """\
<?xml version="1.0" encoding="UTF-8"?>
<log xes.version="1849.2016" xes.features="" xmlns="http://www.xes-standard.org/">
<extension name="Concept" prefix="concept" uri="http://www.xes-standard.org/concept.xesext"/>
<extension name="Time" prefix="time" uri="http://www.xes-standard.org/time.xesext"/>
<extension name="Lifecycle" prefix="lifecycle" uri="http://www.xes-standard.org/lifecycle.xesext"/>
<extension name="Organizational" prefix="org" uri="http://www.xes-standard.org/org.xesext"/>
<global scope="trace">
<string key="concept:name" value="unknown"/>
<date key="arrived" value="1970-01-01T00:00:00.000000+00:00"/>
<string key="outcome" value="unknown"/>
<int key="open_waits" value="0"/>
</global>
<global scope="event">
<string key="concept:name" value="unknown"/>
<string key="lifecycle:transition" value="unknown"/>
<string key="org:resource" value="unknown"/>
<date key="time:timestamp" value="1970-01-01T00:00:00.000000+00:00"/>
</global>
<classifier name="Activity" scope="event" keys="concept:name"/>
<classifier name="ActivityAndTransition" scope="event" keys="concept:name lifecycle:transition"/>
<classifier name="Resource" scope="event" keys="org:resource"/>
"""


def write_xes(run: Run, path: Path) -> None:
    """Write XES; a name with a character that XML cannot represent raises a `ScenarioError`."""
    pieces = _pieces(run)
    head = next(pieces)  # checks all names before the file is opened
    with text_file(path) as file:
        file.write(head)
        file.writelines(pieces)


def _pieces(run: Run) -> Iterator[str]:
    log = run.event_log()
    described = run_description(run)
    head = {"concept:name": described.pop("scenario"), "lifecycle:model": "standard"} | described
    open_waits = int(np.sum(run.waits["outcome"] == "waiting"))
    texts = {name: _quoted(log[name]) for name in log.columns if name != AT}
    yield (
        HEAD
        + "".join(_attribute("string", key, value) for key, value in head.items())
        + _attribute("int", "open_waits", open_waits)
    )
    instance = log["case:concept:name"].astype(np.int64).to_numpy()
    by_instance = np.argsort(instance, kind="stable")  # keeps the order in time
    stamps = np.array(in_zone(pd.DatetimeIndex(log[AT])), dtype=object)
    columns = {name: column[by_instance] for name, column in texts.items()}
    columns[AT] = stamps[by_instance]
    traces = _trace_heads(run)
    edges = np.searchsorted(instance[by_instance], np.arange(len(traces) + 1) + 1)
    for k, trace in enumerate(traces):
        rows = slice(edges[k], edges[k + 1])
        yield f"<trace>\n{trace}"
        yield from _events({name: column[rows] for name, column in columns.items()})
        yield "</trace>\n"
    yield "</log>\n"


def _trace_heads(run: Run) -> list[str]:
    table, waits = run.instances, run.waits
    still = waits.loc[waits["outcome"] == "waiting", "instance"].to_numpy()
    open_waits = np.bincount(still - 1, minlength=len(table))
    ended = np.full(len(table), "", dtype=object)
    over = table["ended"].notna().to_numpy()
    stamps = in_zone(pd.DatetimeIndex(table["ended_at"][over]))
    ended[over] = [_attribute("date", "ended", at) for at in stamps]
    arrived_at = in_zone(pd.DatetimeIndex(table["arrived_at"]))
    rows = zip(table["instance"], arrived_at, ended, table["outcome"], open_waits, strict=True)
    return [
        f'<string key="concept:name" value="{number}"/>\n<date key="arrived" value="{arrived}"/>\n'
        f'{end}<string key="outcome" value="{outcome}"/>\n'
        f'<int key="open_waits" value="{waiting}"/>\n'
        for number, arrived, end, outcome, waiting in rows
    ]


def _events(columns: dict[str, Any]) -> Iterable[str]:
    """Return events as XML; their texts are quoted, and empty for missing values."""
    names = ("concept:name", "lifecycle:transition", "org:resource", "serial_number", "outcome", AT)
    rows = zip(*(columns[name] for name in names), strict=True)
    for step, transition, resource, number, outcome, at in rows:
        more = f'<string key="serial_number" value={number}/>' if number else ""
        if outcome:
            more += f'<string key="outcome" value={outcome}/>'
        yield (
            f'<event><string key="concept:name" value={step}/>'
            f'<string key="lifecycle:transition" value={transition}/>'
            f'<string key="org:resource" value={resource}/>'
            f'<date key="time:timestamp" value="{at}"/>{more}</event>\n'
        )


def _attribute(kind: str, key: str, value: object) -> str:
    return f'<{kind} key="{key}" value={_quote(str(value))}/>\n'


def _quoted(column: pd.Series[Any]) -> np.ndarray[Any, Any]:
    """Return a column as values of XML attributes; missing values are empty texts."""
    codes, distinct = pd.factorize(column)
    texts = [_quote(str(text)) for text in distinct]
    return np.array([*texts, ""], dtype=object)[codes]


def _quote(text: str) -> str:
    if wrong := NOT_IN_XML.search(text):
        raise ScenarioError(
            f"{text!r} cannot be written as XES: XML has no character {wrong.group()!r}; "
            "write .csv or .json, or take another name"
        )
    return quoteattr(text)
