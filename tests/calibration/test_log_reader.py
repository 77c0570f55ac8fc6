"""Logs in either form are read; damage is counted by kind, with its places."""

import warnings

import pandas as pd
import pytest
from known_logs import requests, scenario, table_of

import asyncsim as sim
from asyncsim.calibration.log_reader import EVENT_COLUMNS, read_log

CASE, STEP, AT, PHASE = (
    "case:concept:name",
    "concept:name",
    "time:timestamp",
    "lifecycle:transition",
)
BATCH = sim.NightlyBatch("22:00", "1s")
STEPS = [
    sim.Step("check", "5s"),
    sim.AsyncStep("post", "ledger", call_work="2s"),
    sim.Step("note", "3s"),
]


def counts(log):
    """Return problem: (rows, first places)."""
    return {r["problem"]: (r["rows"], r["first"]) for r in log.problems.table.to_dict("records")}


@pytest.fixture(scope="module")
def run():
    return sim.simulate(scenario(BATCH, days=2, steps=STEPS), sim.Callback("50ms"), seed=1)


def test_an_event_log_of_asyncsim_is_read_whole(run):
    """All instants of all steps, to the microsecond; nothing is a problem."""
    log = read_log(run.event_log())
    assert log.problems.table.empty
    assert (log.form, log.rows) == ("events", len(run.event_log()))
    steps = log.steps.sort_values(["case", "step"])
    true = run.steps.assign(case=run.steps["instance"].astype(str)).sort_values(["case", "step"])
    for name in ("queued", "started", "ended"):
        assert steps[name].to_numpy() == pytest.approx(true[name].to_numpy(), abs=2e-6)
    waits = log.steps.dropna(subset="armed").set_index("serial_number").sort_index()
    true = run.waits.set_index("serial_number").sort_index()
    for name in ("armed", "resumed"):
        assert waits[name].to_numpy() == pytest.approx(true[name].to_numpy(), abs=2e-6)
    assert set(waits["system"]) == {"ledger"}


def test_a_file_of_events_is_read_as_the_frame_is(run, tmp_path):
    """Texts and timestamps give the same steps."""
    run.event_log().to_csv(tmp_path / "log.csv", index=False)
    frame, file = read_log(run.event_log()), read_log(tmp_path / "log.csv")
    columns = ["case", "step", "queued", "started", "armed", "resumed", "ended"]
    pd.testing.assert_frame_equal(
        frame.steps[columns], file.steps[columns], check_names=False, check_dtype=False, atol=2e-6
    )


def test_a_table_of_requests_has_completions_and_resumptions():
    """Instants are those of the run; the zone of timestamps is taken over."""
    table = requests(BATCH, days=2, zone="Europe/Berlin", start="2026-03-28")
    log = read_log(table)
    assert log.calendar.zone == "Europe/Berlin"
    assert log.steps[["armed", "completed", "resumed"]].notna().any().all()
    assert str(log.calendar.start) == "2026-03-28"
    run = sim.simulate(
        scenario(BATCH, days=2, zone="Europe/Berlin", start="2026-03-28"),
        sim.Callback("50ms"),
        seed=1,
    )
    found, true = log.steps.set_index("serial_number"), run.waits.set_index("serial_number")
    for name in ("armed", "completed", "resumed"):
        assert found[name].sort_index().to_numpy() == pytest.approx(
            true[name].sort_index().to_numpy(), abs=2e-6
        )


def test_damaged_requests_are_counted_by_kind_and_place(tmp_path):
    """Each kind of damage once or twice, at known lines."""
    rows = [
        "1_1,2026-03-02 09:00,2026-03-02 22:00:01",
        "2_1,2026-03-02 09:01,",
        "3_1,2026-03-02 09:02,NULL",
        "1_1,2026-03-02 09:03,2026-03-02 22:00:02",
        "4_1,2026-03-02 22:00:03,2026-03-02 09:04",
        ",2026-03-02 09:05,2026-03-02 22:00:04",
        "5_1,02/03/2026 09:06,2026-03-02 22:00:05",
        "6_1,2026-03-02 08:00,2026-03-02 22:00:06",
        "7_1,2026-03-02 09:08+01:00,2026-03-02 22:00:07+01:00",
        "8_1,2026-03-02 09:09,",
    ]
    path = tmp_path / "dirty.csv"
    path.write_text("\n".join(["SN,submitted,completed", *rows]) + "\n", encoding="utf-8")
    log = read_log(path, zone="Europe/Berlin")
    assert counts(log) == {
        "no time zone, though others have one: read as Europe/Berlin": (
            9,
            "lines 2, 3, 4, 5, 6, …",
        ),
        "not completed (used as an arrival)": (2, "lines 3, 11"),
        "completed is not a timestamp (used as an arrival)": (1, "line 4"),
        "serial number comes again": (1, "line 5"),
        "completed before it was submitted": (1, "line 6"),
        "no serial number": (1, "line 7"),
        "submitted is not a timestamp": (1, "line 8"),
        "out of order: submitted before an earlier row": (1, "line 9"),
    }
    assert log.steps["serial_number"].tolist() == ["6_1", "1_1", "2_1", "3_1", "7_1", "8_1"]
    assert log.steps["completed"].isna().sum() == 3


def an_event_log(*rows):
    table = pd.DataFrame(rows, columns=[CASE, STEP, PHASE, AT])
    return table.assign(**{AT: "2026-03-02 " + table[AT]})


def test_damaged_events_are_counted_by_kind_and_place():
    """Doubled, unknown, out of order, without start, end, case, step or timestamp, backwards."""
    log = an_event_log(
        ("1", "a", "start", "09:00:00"),
        ("1", "a", "complete", "09:00:10"),
        ("1", "a", "complete", "09:00:10"),  # row 2: doubled
        ("1", "b", "complete", "09:00:20"),  # row 3: no start
        ("2", "a", "start", "09:01:00"),  # row 4: no end, though the case went on
        ("2", "b", "start", "09:01:20"),
        ("2", "b", "complete", "09:01:30"),
        ("3", "a", "complete", "09:02:10"),
        ("3", "a", "start", "09:02:00"),  # row 8: out of order
        ("3", "b", "complete", "09:03:00"),  # row 9: ended before it started
        ("3", "b", "start", "09:03:10"),
        ("3", "b", "paused", "09:03:05"),  # row 11: unknown
        ("", "a", "start", "09:04:00"),  # row 12
        ("4", "", "start", "09:04:00"),  # row 13
        ("4", "a", "start", "9 o'clock"),  # row 14
        ("4", "a", "start", "09:05:00"),  # row 15: still open
    )
    log.loc[13, AT] = "2026-03-02 09:04:00"
    found = read_log(log)
    assert counts(found) == {
        "time:timestamp is not a timestamp": (1, "row 14"),
        "no step (concept:name)": (1, "row 13"),
        "no case (case:concept:name)": (1, "row 12"),
        "unknown lifecycle transition": (1, "row 11"),
        "doubled event": (1, "row 2"),
        "out of order in its case": (1, "row 8"),
        "ended before it started": (1, "row 9"),
        "no end, though its case went on": (1, "row 4"),
        "no end (still open, or cut off)": (1, "row 15"),
        "no start": (1, "row 3"),
    }
    done = found.steps.dropna(subset=["started", "ended"])
    assert (done["ended"] - done["started"]).tolist() == [10.0, 10.0, 10.0]


def test_a_step_that_comes_again_is_two_executions():
    """The second start belongs to the second end."""
    log = read_log(
        an_event_log(
            ("1", "a", "start", "09:00:00"),
            ("1", "a", "complete", "09:00:10"),
            ("1", "a", "start", "09:01:00"),
            ("1", "a", "complete", "09:01:30"),
        )
    )
    assert (log.steps["ended"] - log.steps["started"]).tolist() == [10.0, 30.0]


def test_steps_that_wait_are_named_where_a_log_does_not_say(run):
    """Without suspend and resume, the whole step is the wait."""
    plain = run.event_log()
    plain = plain[plain[PHASE].isin(["start", "complete"])]
    found = read_log(plain, system={"post": "books"}).steps
    waits = found[found["system"].notna()]
    assert set(waits["step"]) == {"post"}
    assert set(waits["system"]) == {"books"}
    assert (waits["armed"] == waits["started"]).all()
    assert (waits["resumed"] == waits["ended"]).all()


def test_only_ends_make_a_wait_begin_where_the_step_before_ended(run):
    """A log of complete events only."""
    ends = run.event_log().query("`lifecycle:transition` == 'complete'").drop(columns=PHASE)
    steps = read_log(ends, system={"post": "books"}).steps.set_index(["case", "step"])
    before = steps.xs("check", level="step")["ended"]
    assert (steps.xs("post", level="step")["armed"] == before).all()


def test_completions_come_from_a_table_of_requests(run):
    """Joined by serial number; numbers of other processes are counted."""
    table = run.waits[["serial_number", "armed_at", "completed_at"]].set_axis(
        ["SN", "submitted", "completed"], axis=1
    )
    other = table.head(1).assign(SN="99999_1")
    log = read_log(run.event_log(), requests=pd.concat([table, other]))
    found = log.steps.dropna(subset="armed").set_index("serial_number")["completed"].sort_index()
    true = run.waits.set_index("serial_number")["completed"].sort_index()
    assert found.to_numpy() == pytest.approx(true.to_numpy(), abs=2e-6)
    assert counts(log)["requests: serial number is not in the event log"][0] == 1


@pytest.mark.parametrize(
    ("frame", "more", "message"),
    [
        (pd.DataFrame({"SNs": ["1"]}), {}, r"must have the columns SN, submitted, completed"),
        (7, {}, r"log must be a DataFrame or the path of a CSV or Parquet file, got 7"),
        (pd.DataFrame({"SN": ["1"], "submitted": ["x"]}), {}, r"lacks the column 'completed'"),
        (pd.DataFrame({"SN": ["1"], "submitted": ["x"], "completed": [""]}), {}, "no usable row"),
        (an_event_log(("1", "a", "start", "x")), {}, "no usable row"),
        (pd.DataFrame(columns=["SN", "submitted", "completed"]), {}, "has no rows"),
        (an_event_log(("1", "a", "foo", "09:00")), {}, r"known lifecycle transition .* but 'foo'"),
        (pd.concat([an_event_log(("1", "a", "start", "09:00"))] * 2, axis=1), {}, "more than once"),
        (an_event_log(("1", "a", "start", "09:00")), {"system": {"b": "x"}}, "has no step 'b'"),
        (an_event_log(("1", "a", "start", "09:00")), {"system": "x"}, "must say which step waits"),
        (an_event_log(("1", "a", "start", "09:00")), {"system": 3}, "must be a name, or map steps"),
        (an_event_log(("1", "a", "start", "09:00")), {"zone": "Berlin"}, "zone must be a time"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_said(frame, more, message):
    """Each sentence names what is wrong and what would be right."""
    with pytest.raises(sim.ScenarioError, match=message):
        read_log(frame, **more)


def test_the_order_of_rows_does_not_matter():
    """Ascending, descending, shuffled: a step that begins as another ends comes after it."""
    steps = [sim.Step("register", "1s"), sim.AsyncStep("decide", "ledger"), sim.Step("pay", "3min")]
    played = sim.simulate(
        scenario(sim.OnlineService(sim.exponential("1h"), lanes=None), days=3, steps=steps),
        sim.Callback(),
        seed=1,
    )
    events = played.event_log()
    ends = events[events["lifecycle:transition"] == "complete"]
    for rows in (ends, ends[::-1], ends.sample(frac=1.0, random_state=1)):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", sim.LogWarning)
            found = sim.fit(rows, system={"decide": "office"})
        assert [one.name for one in found.scenario.process.steps] == ["register", "decide", "pay"]
        assert found.work["pay"].mean == pytest.approx(180.0, rel=0.05)


def test_waits_that_timed_out_are_ends_and_are_counted():
    """Asyncsim writes them as ate_abort; they are no damage, and no external times either."""
    step = sim.AsyncStep("post", "ledger", timeout="2h", on_timeout="continue")
    played = sim.simulate(
        scenario(sim.OnlineService(sim.exponential("1h"), lanes=None), days=3, steps=[step]),
        sim.Callback(),
        seed=1,
    )
    log = read_log(played.event_log())
    aborted = int((played.waits["outcome"] == "timed out").sum())
    assert counts(log)["ended without completing (timed out, rejected, failed)"][0] == aborted > 0
    assert "unknown lifecycle transition" not in counts(log)
    assert int(log.steps["resumed"].isna().sum()) == aborted


def test_columns_of_different_zones_are_told():
    """Submitted without an offset, completed with one."""
    table = requests(sim.NightlyBatch("22:00", "3s"), days=2)
    naive = table.astype("str").assign(
        completed=table["completed"].dt.strftime("%Y-%m-%dT%H:%M:%S+01:00")
    )
    reported = counts(read_log(naive))
    assert reported["no time zone, though others have one: read as UTC"][0] == len(table)


def test_rows_of_the_requests_keep_their_places():
    """Bad rows of the table beside an event log are named by their own lines."""
    played = sim.simulate(scenario(sim.NightlyBatch("22:00", "3s"), days=2), sim.Callback(), seed=1)
    table = table_of(played).astype("str").reset_index(drop=True)
    table.loc[[10, 30], "completed"] = "bad"
    table.loc[20, "SN"] = "99999_1"
    reported = counts(read_log(played.event_log(), requests=table))
    assert reported["requests: rows that cannot be used"] == (2, "rows of requests 10, 30")
    assert reported["requests: serial number is not in the event log"] == (1, "row of requests 20")


def test_a_parquet_file_is_read_as_its_table_is(tmp_path):
    """What `write_event_log` writes, too; damage is named by row."""
    run = sim.simulate(scenario(sim.NightlyBatch("22:00", "1s"), days=3), sim.Callback(), seed=1)
    sim.write_event_log(run, tmp_path / "log.parquet")
    log = read_log(tmp_path / "log.parquet")
    assert log.name.endswith("log.parquet")
    pd.testing.assert_frame_equal(
        log.steps, read_log(pd.read_parquet(tmp_path / "log.parquet")).steps
    )
    (tmp_path / "broken.parquet").write_bytes(b"no parquet")
    for name in ("broken.parquet", "missing.parquet"):
        with pytest.raises(sim.ScenarioError, match=rf"{name}: cannot be read as Parquet"):
            read_log(tmp_path / name)


@pytest.mark.parametrize(
    "date", ["02.03.2026 08:02:41", "03/02/2026 08:02 AM", "1772438561", "yesterday"]
)
def test_dates_of_another_form_are_refused_with_the_right_one(date):
    """And how to make it; rows of a DataFrame are rows, not lines."""
    right = r"ISO 8601, such as 2026-03-02 09:13:22; pandas.to_datetime makes them"
    requests = pd.DataFrame({"SN": ["5_31"], "submitted": [date], "completed": [date]})
    with pytest.raises(sim.ScenarioError, match=rf"row 0: submitted is not .*{right}"):
        read_log(requests)
    events = pd.DataFrame(
        {"case:concept:name": ["1"], "concept:name": ["post"], "time:timestamp": [date]}
    )
    with pytest.raises(sim.ScenarioError, match=rf"is not a timestamp: row 0\); .*{right}"):
        read_log(events)


@pytest.mark.parametrize("path", ["a\0b.csv", "\ud800.csv", "x" * 5000])
def test_a_file_that_cannot_be_is_refused_by_name(path):
    """Of a log and of its requests."""
    events = pd.DataFrame({name: ["2026-01-05 09:00"] for name in EVENT_COLUMNS})
    events["serial_number"] = "1_1"
    with pytest.raises(sim.ScenarioError, match=r"log must be the name of a file|cannot be read"):
        sim.fit(path)
    with pytest.raises(
        sim.ScenarioError, match=r"requests must be the name of a file|cannot be read"
    ):
        sim.fit(events, requests=path)
