"""A request log is read whole: each row is used or named with its line, and replayed as it was."""

import csv
import warnings

import pandas as pd
import pytest
from handed_out import assert_handed_out
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from asyncsim.errors import LogWarning, ScenarioError
from asyncsim.model.arrivals import ArrivalTimes, Poisson
from asyncsim.model.process import AsyncStep, Process
from asyncsim.model.request_log import COLUMNS, RequestLog, header_of, timestamps
from asyncsim.model.scenario import Scenario
from asyncsim.model.systems import LoggedCompletions, NightlyBatch

BERLIN = "Europe/Berlin"
HOUR = 3600.0
GOOD = "5_31,2026-03-02 09:13:22,2026-03-02 22:00:05"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return one folder for all examples of a test."""
    return tmp_path_factory.mktemp("logs")


@pytest.fixture
def read(folder):
    """Write rows below a header and read them as a log."""

    def read_rows(*rows, header="SN,submitted,completed", zone=None):
        path = folder / "log.csv"
        path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
        return RequestLog.read(path, zone)

    return read_rows


def a_scenario(zone=None, **more):
    return Scenario(
        name="log",
        process=Process("p", [AsyncStep("post", "ledger")]),
        systems={"ledger": NightlyBatch("22:00", 1)},
        arrivals=Poisson(1),
        zone=zone,
        **more,
    )


def test_rows_are_read_in_order_of_submission(read):
    """Columns may stand in any order beside others; numbers may have blanks around them."""
    log = read(
        "x, 7_31 ,2026-03-02 22:00:05,2026-03-02 10:00",
        "y,5_31,2026-03-02T22:00:06.5,2026-03-02T09:00:00",
        header="note, SN ,completed,submitted",
    )
    assert log.rows["SN"].tolist() == ["5_31", "7_31"]
    assert log.rows["submitted"].tolist() == [
        pd.Timestamp("2026-03-02 09:00"),
        pd.Timestamp("2026-03-02 10:00"),
    ]
    assert log.rows["completed"][0] == pd.Timestamp("2026-03-02 22:00:06.5")
    assert len(log.rejected) == 0


BAD_ROWS = {
    ",2026-03-02 09:00,2026-03-02 10:00": "no serial number",
    "  ,2026-03-02 09:00,2026-03-02 10:00": "no serial number",
    "9_31,,2026-03-02 10:00": "submitted is not a timestamp: ''",
    "9_31,yesterday,2026-03-02 10:00": "submitted is not a timestamp: 'yesterday'",
    "9_31,02/03/2026,2026-03-02 10:00": "submitted is not a timestamp: '02/03/2026'",
    "9_31,13/01/2026,2026-03-02 10:00": "submitted is not a timestamp: '13/01/2026'",
    "9_31,now,2026-03-02 10:00": "submitted is not a timestamp: 'now'",
    "9_31,1772442802,2026-03-02 10:00": "submitted is not a timestamp: '1772442802'",
    "9_31,99999-01-01,2026-03-02 10:00": "submitted is not a timestamp: '99999-01-01'",
    "9_31,0000-01-01,2026-03-02 10:00": "submitted is not of the years 1700 to 2200: '0000-01-01'",
    "9_31,9999-12-31,2026-03-02 10:00": "submitted is not of the years 1700 to 2200: '9999-12-31'",
    "9_31,1677-01-01,2026-03-02 10:00": "submitted is not of the years 1700 to 2200: '1677-01-01'",
    "9_31,0001-01-01T00:00+05:00,x": "submitted is not of the years 1700 to 2200: "
    "'0001-01-01T00:00+05:00'",
    "9_31,2026-03-02 09:00,2262-04-12": "completed is not of the years 1700 to 2200: '2262-04-12'",
    "9_31,2026-03-02 09:00,9999-12-31 23:59:59": "completed is not of the years 1700 to 2200: "
    "'9999-12-31 23:59:59'",
    "9_31,2026-02-30 09:00,2026-03-02 10:00": "submitted is not a timestamp: '2026-02-30 09:00'",
    "9_31,2026-03-02 09:00,2026-03-02 25:00": "completed is not a timestamp: '2026-03-02 25:00'",
    "9_31,2026-03-02 09:00,2026-03-02 9 XYZ": "completed is not a timestamp: '2026-03-02 9 XYZ'",
    "9_31,2026-03-02 09:00,NaT": "completed is not a timestamp: 'NaT'",
    "9_31,2026-03-02 09:00,": "not completed",
    "9_31,2026-03-02 09:00": "not completed",
    "9_31": "submitted is not a timestamp: ''",
    "9_31,2026-03-02 09:00,2026-03-02 08:59": "completed before it was submitted",
    "5_31,2026-03-02 09:00,2026-03-02 10:00": "serial number comes again: first in line 2",
}


@pytest.mark.parametrize(("row", "problem"), BAD_ROWS.items(), ids=list(BAD_ROWS.values()))
def test_a_bad_row_is_named_with_its_line(read, row, problem):
    """The row is kept apart with line, number and problem; its neighbours are used."""
    with pytest.warns(LogWarning) as caught:
        log = read(GOOD, row, "6_31,2026-03-02 09:14,2026-03-02 22:00:06")
    assert log.rows["SN"].tolist() == ["5_31", "6_31"]
    assert log.rejected["line"].tolist() == [3]
    assert log.rejected["problem"].tolist() == [problem]
    assert log.rejected["SN"].tolist() == [row.split(",")[0]]
    assert str(caught[0].message) == f"{log.path}: 1 of 3 rows are not used: line 3: {problem}"


def test_the_warning_names_the_first_rows_and_counts_the_others(read):
    """Of seven bad rows five stand in the warning, all seven in the table."""
    rows = [f"{k}_31,,2026-03-02 10:00" for k in range(7)]
    with pytest.warns(
        LogWarning, match=r"7 of 8 rows are not used: line 3: .*line 7: .*; and 2 more$"
    ):
        log = read(GOOD, *rows)
    assert log.rejected["line"].tolist() == list(range(3, 10))


def test_rows_with_the_same_problem_are_of_one_kind(read):
    """The problem of a row shows its text, and makes no kind of its own."""
    with pytest.warns(LogWarning):
        log = read(GOOD, "1_31,a: b,", "2_31,now,", "5_31,2026-03-02 09:00,2026-03-02 10:00")
    first, second, again = log.rejected["kind"]
    assert first == second == "submitted is not a timestamp"
    assert again == "serial number comes again"


def test_the_warning_points_at_the_caller(folder):
    """It is shown at the line that read the log, not inside the library."""
    path = folder / "bad.csv"
    path.write_text(f"SN,submitted,completed\n{GOOD}\n,,\n", encoding="utf-8")
    for read_it in (a_scenario().with_log, RequestLog.read):
        with pytest.warns(LogWarning) as caught:
            read_it(path)
        assert caught[0].filename == __file__


def test_a_clean_log_is_read_without_a_word(read):
    """No warning where nothing was rejected."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(read(GOOD).rows) == 1


stamps = st.sampled_from(["2026-03-02 09:00", "2026-03-02T10:00Z", "2026-03-01", "", "x", "2026"])
words = st.text(st.characters(codec="utf-8"), max_size=8)
cells = stamps | words
rows = st.lists(st.tuples(st.sampled_from(["1_1", "2_1", ""]) | words, cells, cells))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows, st.sampled_from([None, BERLIN]))
def test_nothing_is_lost_silently(folder, table, zone):
    """Rows used and rows rejected are together all the rows there are, each once."""
    path = folder / "any.csv"
    table = [("good", "2026-01-01", "2026-01-02"), *table]
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, quoting=csv.QUOTE_ALL).writerows([COLUMNS, *table])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", LogWarning)
        log = RequestLog.read(path, zone)
    assert len(log.rows) + len(log.rejected) == len(table)
    assert log.rows["SN"].is_unique
    assert (log.rows["completed"] >= log.rows["submitted"]).all()
    assert log.rows["submitted"].is_monotonic_increasing
    assert (log.rejected["problem"] != "").all()


def test_lines_are_those_of_the_file(read):
    """An empty line counts as a line, not as a row; a quoted line break makes a row longer."""
    with pytest.warns(LogWarning, match="line 5: no serial number"):
        log = read(GOOD, "", '6_31,2026-03-02 09:14,"2026-03-02 22:01"', ",2026-03-02,2026-03-03")
    assert len(log.rows) == 2


# --- files --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("SN,submited,completed", "lacks the column 'submitted'; did you mean 'submited'?"),
        ("SN,submitted", "lacks the column 'completed'; it has SN, submitted"),
        ("sn,submitted,completed", "lacks the column 'SN'; it has sn, submitted, completed"),
        ("", "lacks the column 'SN'; it has none"),
        ("SN|submitted|completed", "lacks the column 'SN'; it has SN|submitted|completed"),
    ],
)
def test_a_missing_column_gets_a_hint(read, header, message):
    """The column is named, with the nearest one there is and all the others."""
    with pytest.raises(ScenarioError) as caught:
        read(GOOD, header=header)
    assert message in str(caught.value)


def test_a_byte_order_mark_is_no_part_of_the_first_column(folder):
    """Spreadsheets put one at the beginning of a file."""
    path = folder / "bom.csv"
    path.write_bytes(b"\xef\xbb\xbfSN,submitted,completed\r\n" + GOOD.encode() + b"\r\n")
    assert RequestLog.read(path).rows["SN"].tolist() == ["5_31"]


def test_a_log_without_a_usable_row_is_no_log(read):
    """Nothing but bad rows, or none at all, is an error that says so."""
    with pytest.raises(ScenarioError, match=r"has no usable row \(line 2: no serial number\)"):
        read(",2026-03-02,2026-03-03")
    with pytest.raises(ScenarioError, match=r"log.csv: has no rows$"):
        read()


def test_files_that_cannot_be_read(folder):
    """A missing file, a directory and a binary file are named."""
    binary = folder / "binary.csv"
    binary.write_bytes(b"\xff\xfe\x00S\x00N")
    for path, problem in [
        (folder / "none.csv", "cannot be read"),
        (folder, "cannot be read"),
        (binary, "is not text in UTF-8 .*; save it as such"),
    ]:
        with pytest.raises(ScenarioError, match=problem):
            RequestLog.read(path)


def test_an_unknown_zone_is_refused(read):
    """A zone is checked as everywhere else."""
    with pytest.raises(ScenarioError, match=r"RequestLog\.read: zone must be a time zone .*Berlin"):
        read(GOOD, zone="Europe/Berln")


# --- zones --------------------------------------------------------------------------------------


def test_timestamps_are_understood_in_the_zone(read):
    """Without an offset the zone's clock is meant; an offset is converted to the zone."""
    log = read(
        "1_1,2026-03-02 09:00,2026-03-02 22:00",
        "2_1,2026-03-02 09:00Z,2026-03-02 22:00-05:00",
        zone=BERLIN,
    )
    assert str(log.rows["submitted"].dt.tz) == BERLIN
    assert log.rows["submitted"].dt.hour.tolist() == [9, 10]
    assert log.rows["completed"][1] == pd.Timestamp("2026-03-03 04:00", tz=BERLIN)


def test_without_a_zone_offsets_are_converted_to_utc(read):
    """Two offsets in one row must not change how long the request took."""
    log = read("1_1,2026-03-02T06:00:00Z,2026-03-02T08:30+02:00")
    assert log.rows["submitted"][0] == pd.Timestamp("2026-03-02 06:00")
    assert log.rows["completed"][0] - log.rows["submitted"][0] == pd.Timedelta("30min")


def test_the_nights_of_the_change_keep_their_order(read):
    """02:30 that comes twice is distinguished by its offset: an hour lies between the two."""
    log = read(
        "2_1,2026-10-25 02:30+01:00,2026-10-25 04:00",
        "1_1,2026-10-25 02:30+02:00,2026-10-25 04:00",
        "3_1,2026-10-25 02:30,2026-10-25 04:00",
        zone=BERLIN,
    )
    assert log.rows["SN"].tolist() == ["1_1", "3_1", "2_1"]
    scenario = a_scenario(BERLIN).with_log(log)
    assert scenario.arrivals.times == (2.5 * HOUR, 2.5 * HOUR, 3.5 * HOUR)
    assert scenario.systems["ledger"].completions == (5 * HOUR,) * 3


def test_tenths_of_microseconds_are_cut(read):
    """SQL Server writes seven digits; the seventh is cut, without a warning."""
    log = read("1_1,2026-03-02 09:00:00.1234567,2026-03-02 09:00:00.1234569", zone=BERLIN)
    assert log.rows["submitted"][0] == pd.Timestamp("2026-03-02 09:00:00.123456", tz=BERLIN)
    assert log.rows["completed"][0] == log.rows["submitted"][0]
    assert a_scenario(BERLIN).with_log(log).arrivals.times == (9 * HOUR + 0.123456,)


# --- replay -------------------------------------------------------------------------------------


def test_a_replay_has_the_arrivals_and_completions_of_the_log(read):
    """Instances arrive when requests were submitted, and are done when the log says so."""
    log = read(
        "7_31,2026-03-03 10:00,2026-03-03 22:00:05",
        "5_31,2026-03-02 09:00,2026-03-02 22:00:05",
    )
    scenario = a_scenario().with_log(log)
    day = 86400.0
    assert str(scenario.start) == "2026-03-02"
    assert scenario.length == 2 * day
    assert scenario.arrivals == ArrivalTimes([9 * HOUR, day + 10 * HOUR])
    assert scenario.systems["ledger"] == LoggedCompletions(
        [22 * HOUR + 5, day + 22 * HOUR + 5], ["5_31", "7_31"]
    )
    assert scenario.draw().arrivals.tolist() == [9 * HOUR, day + 10 * HOUR]


def test_a_log_of_another_zone_is_replayed_on_the_clock_of_the_scenario(read):
    """23:30 in New York is 05:30 of the next day in Berlin, which is the scenario's first day."""
    log = read("1_1,2026-03-02 23:30,2026-03-03 01:00", zone="America/New_York")
    scenario = a_scenario(BERLIN).with_log(log)
    assert str(scenario.start) == "2026-03-03"
    assert scenario.arrivals.times == (5.5 * HOUR,)
    assert scenario.systems["ledger"].completions == (7 * HOUR,)


def test_a_replay_across_the_spring_night(read):
    """From 22:00 to 06:00 are seven hours on that night, and the length is 23 hours longer."""
    log = read(
        "1_1,2026-03-28 22:00,2026-03-29 06:00",
        "2_1,2026-03-29 22:00,2026-03-29 23:00",
        zone=BERLIN,
    )
    scenario = a_scenario(BERLIN).with_log(log)
    arrived, done = scenario.arrivals.times, scenario.systems["ledger"].completions
    assert done[0] - arrived[0] == 7 * HOUR
    assert arrived[1] - arrived[0] == 23 * HOUR
    assert scenario.length == 47 * HOUR


def test_the_step_of_a_log_must_be_clear(read):
    """With several asynchronous steps the step is named; a wrong name is refused."""
    log = read(GOOD)
    two = a_scenario().replace(
        process=Process("p", [AsyncStep("a", "ledger"), AsyncStep("b", "ledger")])
    )
    with pytest.raises(
        ScenarioError, match="step must be named, since several steps wait: one of 'a', 'b'"
    ):
        two.with_log(log)
    with pytest.raises(ScenarioError, match="step must be one of 'post', got 'x'"):
        a_scenario().with_log(log, "x")
    with pytest.raises(ScenarioError, match="step 'a' calls as well; give each step a system"):
        two.with_log(log, step="b")
    apart = two.replace(
        process=Process("p", [AsyncStep("a", "ledger"), AsyncStep("b", "other")]),
        systems=dict(two.systems) | {"other": two.systems["ledger"]},
    )
    replayed = apart.with_log(log, step="b")
    assert isinstance(replayed.systems["other"], LoggedCompletions)
    assert replayed.systems["ledger"] == two.systems["ledger"]


def test_a_number_counts_as_doubled_only_after_a_good_row(read):
    """A row that cannot be used does not take its number away from a later one that can."""
    with pytest.warns(LogWarning):
        log = read(f"5_31,2026-03-02 09:00,NULL\n{GOOD.replace(GOOD.split(',')[0], '5_31', 1)}")
    assert log.rows["SN"].tolist() == ["5_31"]
    assert log.rejected["line"].tolist() == [2]


def test_many_timestamps_are_read_at_once_as_each_would_be_alone():
    """Also those that are no date, from before 1970, far off, or finer than a microsecond."""
    texts = [
        "2026-03-02 09:13:22", "2026-03-02T09:13:22.5", "1969-12-31 23:59:59.999999999",
        "9999-12-31 00:00:00", "2026-02-30 09:00:00", "2026-03-02 25:00:00",
        "2026-03-02 09:13:22.123456789", "0001-01-01 00:00:00", " 2026-03-02 09:13:22 ",
    ]  # fmt: skip
    together = timestamps(pd.Series(texts), None)
    alone = pd.concat([timestamps(pd.Series([text, "x"]), None)[:1] for text in texts])
    pd.testing.assert_series_equal(together, alone.reset_index(drop=True))


@pytest.mark.parametrize("separator", [";", "\t"])
def test_columns_may_be_parted_as_spreadsheets_do(separator, tmp_path):
    """Semicolons in many countries; names may be quoted."""
    commas, other = tmp_path / "commas.csv", tmp_path / "other.csv"
    text = '"SN",submitted,completed\n5_31,2026-03-02 09:00:00,2026-03-02 22:00:01\n'
    commas.write_text(text)
    other.write_text(text.replace(",", separator))
    assert header_of(other) == ["SN", "submitted", "completed"]
    pd.testing.assert_frame_equal(RequestLog.read(other).rows, RequestLog.read(commas).rows)


def test_a_timestamp_has_a_day():
    """A year alone is a count of something; a month alone is not a day."""
    good = ["2026-03-02", "2026-3-2 9:00", "20260302T0900", "2026/03/02 09:00"]
    bad = ["2026", "2026-03", "1/2/2026", "202603", "1772442000"]
    found = timestamps(pd.Series([*good, *bad], dtype="str"), None)
    assert found.notna().tolist() == [True] * len(good) + [False] * len(bad)


@pytest.mark.parametrize("zone", [None, "Europe/Berlin", "Pacific/Kiritimati"])
@pytest.mark.parametrize("year", ["0001", "1677", "2262", "9999"])
@pytest.mark.parametrize("rest", ["-04-12", "-04-12 00:00:01", "-04-12T00:00:01.5+14:00", "0412"])
def test_one_row_of_a_far_year_spoils_no_log(read, zone, year, rest):
    """It is reported like any other row that cannot be used, and the log can be played."""
    at = year + rest
    with pytest.warns(LogWarning, match="2 of 3 rows are not used: line 3: submitted is not of"):
        log = read(GOOD, f"9_31,{at},{at}", f"8_31,2026-03-02 09:00,{at}", zone=zone)
    assert log.rows["SN"].tolist() == ["5_31"]
    assert log.replayed(zone).length <= 86400 * 2


def test_a_log_of_two_centuries_is_refused(read):
    """Both years can be, and are not of one log; the message shows both days."""
    log = read(GOOD, "9_31,1726-03-02 09:00,1726-03-02 10:00")
    with pytest.raises(ScenarioError, match="must span 40 years at most, got 1726-03-02 to 2026-"):
        log.replayed(None)


@pytest.mark.parametrize("name", ["rows", "rejected", "unfinished"])
def test_tables_are_the_callers_own(name):
    """Changing a table of a log changes nothing in it."""
    with pytest.warns(LogWarning):
        log = RequestLog.read("data/request_log.csv")
    assert_handed_out(log, name)
