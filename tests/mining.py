"""Event logs read back from files: with pm4py, as a user of process mining would, and by hand.

pm4py is under the AGPL: tests use it, the package does not.
"""

from __future__ import annotations

import gzip
import json
import warnings
from pathlib import Path

import pandas as pd
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from lxml import etree
from scenarios import scenarios, strategies
from thorough import times

import asyncsim as sim

XES = "{http://www.xes-standard.org/}"
AT = "time:timestamp"
ODD_NAMES = st.sampled_from(["", "", "ä, ", "\"<&>' ", "two\nlines ", "\t", "NA "])
slow_input = settings(
    max_examples=times(10),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)


@st.composite
def runs(draw):
    """Play scenarios of every kind with odd names, some of them stopped on the way."""
    until = draw(st.sampled_from([None, None, 36000.0]))
    scenario = draw(scenarios(ODD_NAMES))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", sim.CensoredWarning)
        return sim.simulate(scenario, draw(strategies()), until=until)


def written(run, folder, name):
    """Write a run to a file; return its path."""
    path = Path(folder) / name
    sim.write_event_log(run, path)
    return path


def by_case(log):
    """Return an event log in the order of XES: case by case, times in UTC."""
    log = log.iloc[log["case:concept:name"].astype(int).argsort(kind="stable")]
    log = log.reset_index(drop=True)
    return log.assign(**{AT: in_utc(log[AT])})


def in_utc(stamps):
    """Return timestamps in UTC, to the microsecond; naive ones are taken for UTC."""
    return pd.to_datetime(stamps, utc=True).dt.as_unit("us")


def plain(table, columns):
    """Return columns as lists of plain values, with None for what is not there."""
    return {
        name: [None if pd.isna(value) else value for value in table[name].tolist()]
        if name in table
        else [None] * len(table)
        for name in columns
    }


def pm4py_xes(path):
    """Read XES with pm4py."""
    with warnings.catch_warnings():
        # It would like a faster reader of its own, written in Rust
        warnings.filterwarnings("ignore", "Install the optional requirement", UserWarning)
        import pm4py

        return pm4py.read_xes(str(path), show_progress_bar=False)


def pm4py_ocel(path):
    """Read OCEL 2.0 with pm4py."""
    import pm4py

    return pm4py.read_ocel2_json(str(path))


def xes_tree(path):
    """Read XES as a tree of XML."""
    data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    return etree.fromstring(data)


def attributes(element):
    """Return the attributes of a log, trace or event of XES by their keys, as text."""
    return {child.get("key"): child.get("value") for child in element if child.get("key")}


def ocel_file(path):
    """Read OCEL as plain JSON."""
    return json.loads(path.read_text("utf-8"))


def values(thing):
    """Return the attributes of an object or an event of OCEL by their names."""
    return {each["name"]: each["value"] for each in thing["attributes"]}


def relations(thing):
    """Return the relations of an object or an event of OCEL: object by qualifier."""
    return {each["qualifier"]: each["objectId"] for each in thing["relationships"]}
