"""XES files hold every event of a run and conform to IEEE 1849-2016."""

import re
import tempfile

import pytest
from hypothesis import given
from mining import (
    AT,
    XES,
    attributes,
    by_case,
    in_utc,
    plain,
    pm4py_xes,
    runs,
    slow_input,
    written,
    xes_tree,
)
from plays import FREE, play, scenario_of, wait_for

import asyncsim as sim

pytestmark = pytest.mark.slow

TEXTS = [
    "case:concept:name",
    "concept:name",
    "lifecycle:transition",
    "org:resource",
    "serial_number",
    "outcome",
]
STANDARD = {  # the standard lifecycle of the standard
    "schedule", "assign", "withdraw", "reassign", "start", "suspend", "resume",
    "pi_abort", "ate_abort", "complete", "autoskip", "manualskip", "unknown",
}  # fmt: skip


@slow_input
@given(runs())
def test_every_event_reads_back_with_pm4py(run):
    """Cases, activities, transitions, resources, numbers, and times to the microsecond."""
    expected = by_case(run.event_log())
    with tempfile.TemporaryDirectory() as folder:
        log = pm4py_xes(written(run, folder, "log.xes"))
    if expected.empty:
        assert log.empty
        return
    assert plain(log, TEXTS) == plain(expected, TEXTS)
    assert in_utc(log[AT]).tolist() == expected[AT].tolist()
    assert set(log["lifecycle:transition"]) <= STANDARD
    # What pm4py repeats in each event are the attributes of its trace
    traces = log.drop_duplicates("case:concept:name").set_index("case:concept:name")
    instances = run.instances.set_index(run.instances["instance"].astype(str)).loc[traces.index]
    assert traces["case:outcome"].tolist() == instances["outcome"].tolist()
    assert in_utc(traces["case:arrived"]).tolist() == in_utc(instances["arrived_at"]).tolist()


@slow_input
@given(runs())
def test_traces_are_the_instances_also_those_without_events(run):
    """With outcome, arrival, end, and the number of waits that are open: none is left out."""
    with tempfile.TemporaryDirectory() as folder:
        tree = xes_tree(written(run, folder, "log.xes.gz"))
    traces = tree.findall(f"{XES}trace")
    found = [attributes(trace) for trace in traces]
    table, waits = run.instances, run.waits
    still = waits[waits.outcome == "waiting"].groupby("instance").size()
    assert [int(trace["concept:name"]) for trace in found] == table.instance.tolist()
    assert [trace["outcome"] for trace in found] == table.outcome.tolist()
    assert [int(trace["open_waits"]) for trace in found] == [
        still.get(number, 0) for number in table.instance
    ]
    assert ["ended" in trace for trace in found] == table.ended.notna().tolist()
    assert int(attributes(tree)["open_waits"]) == still.sum()
    # A wait that is open has been suspended, and nothing has happened since
    for trace, waiting in zip(traces, found, strict=True):
        events = [attributes(event)["lifecycle:transition"] for event in trace.iter(f"{XES}event")]
        closed = events.count("resume") + _closed_otherwise(waits, waiting["concept:name"])
        assert events.count("suspend") - closed == int(waiting["open_waits"])


def _closed_otherwise(waits, number):
    here = waits[waits.instance == int(number)]
    return int(here.outcome.isin(["timed out", "gave up", "cancelled"]).sum())


def test_the_head_is_what_the_schema_of_the_standard_wants(tmp_path):
    """The order of parts, a decimal version, names without blanks, declared extensions."""
    tree = xes_tree(written(wait_for(sim.Callback(), 10.0), tmp_path, "log.xes"))
    assert tree.tag == f"{XES}log"
    assert float(tree.get("xes.version")) == 1849.2016
    parts = [child.tag.removeprefix(XES) for child in tree]
    order = ["extension", "global", "classifier", "attribute", "trace"]
    places = [order.index(p if p in order else "attribute") for p in parts]
    assert places == sorted(places)
    declared = {e.get("prefix"): e.get("uri") for e in tree.findall(f"{XES}extension")}
    assert declared == {
        prefix: f"http://www.xes-standard.org/{prefix}.xesext"
        for prefix in ("concept", "time", "lifecycle", "org")
    }
    scopes = {g.get("scope"): attributes(g) for g in tree.findall(f"{XES}global")}
    for scope, elements in (("trace", "trace"), ("event", "event")):
        for element in tree.iter(f"{XES}{elements}"):
            assert scopes[scope].keys() <= attributes(element).keys()
    for classifier in tree.findall(f"{XES}classifier"):
        assert re.fullmatch(r"[A-Za-z]\w*", classifier.get("name"))
        assert set(classifier.get("keys").split()) <= scopes["event"].keys()
    keys = {child.get("key") for child in tree.iter() if child.get("key")}
    assert all(re.fullmatch(r"[A-Za-z][\w:]*", key) for key in keys)
    assert {key.split(":")[0] for key in keys if ":" in key} <= declared.keys()
    assert attributes(tree)["lifecycle:model"] == "standard"


def test_the_log_describes_the_run_and_its_clock(tmp_path):
    """Without a zone the times are written as UTC, and the file reports that."""
    run = wait_for(sim.Callback("1s"), 10.0)
    head = attributes(xes_tree(written(run, tmp_path, "log.xes")))
    assert head["concept:name"] == "by hand"
    assert head["strategy"] == run.strategy.label
    assert head["clock"] == "no time zone in the scenario; its local times are written as UTC"


def test_steps_that_failed_are_aborted_and_so_is_their_instance(tmp_path):
    """A rejected call aborts its step; what waited in another branch goes with the instance."""
    ways = [
        [sim.AsyncStep("first", "out")],
        [sim.AsyncStep("second", "out", call_work=5.0, response=sim.Response(0.0, rejected=1.0))],
    ]
    run = play(sim.Callback(), scenario_of([sim.Parallel("both", ways)]), external={"first": 100.0})
    (trace,) = xes_tree(written(run, tmp_path, "log.xes")).iter(f"{XES}trace")
    ends = {
        event["concept:name"]: (event["lifecycle:transition"], event["outcome"])
        for event in map(attributes, trace.iter(f"{XES}event"))
        if "outcome" in event
    }
    assert ends == {"second": ("ate_abort", "rejected"), "first": ("pi_abort", "cancelled")}
    assert attributes(trace)["outcome"] == "failed"


@pytest.mark.parametrize("name", ["a\x00b", "bell\x07", "\ufffe"])
def test_a_character_that_xml_does_not_have_is_named(name, tmp_path):
    """No character is replaced silently, and no file is opened."""
    scenario = scenario_of([sim.Step(name, 1.0)])
    with pytest.raises(sim.ScenarioError, match=r"XML has no character .* write \.csv or \.json"):
        sim.write_event_log(play(sim.Callback(), scenario), tmp_path / "log.xes")
    assert not (tmp_path / "log.xes").exists()


def test_names_are_escaped(tmp_path):
    """Quotes, angle brackets, ampersands and line ends come back as they were."""
    name = "\"a\" < 'b' & c > d\r\n\te 😀"
    scenario = scenario_of([sim.AsyncStep(name, name)], {name: FREE}, name=name)
    tree = xes_tree(written(play(sim.Callback(), scenario), tmp_path, "log.xes"))
    events = [attributes(event) for event in tree.iter(f"{XES}event")]
    assert {event["concept:name"] for event in events} == {name}
    assert name in {event["org:resource"] for event in events}
    assert attributes(tree)["concept:name"] == name
