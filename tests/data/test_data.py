"""The files in data/ do what data/README.md says."""

import math
import subprocess
import sys
from pathlib import Path
from statistics import NormalDist

import numpy as np
import pytest

import asyncsim as sim
from asyncsim.model.distributions import Empirical

DATA = Path(__file__).parents[2] / "data"
SCENARIOS = sorted(DATA.glob("*.toml"))
LOG = DATA / "request_log.csv"
PERSISTENT = sim.Callback("50ms", retries=["1s", "2s", "4s", "8s", "16s", "32s", "1min", "2min"])
"""A sender who comes again when it is refused."""


def test_there_is_a_scenario_for_each_use_case() -> None:
    """A nightly batch, a long transaction and a person."""
    names = {path.stem for path in SCENARIOS}
    assert {"nightly_ledger", "lines_of_business", "person"} <= names


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
def test_scenario_round_trips(path: Path, tmp_path: Path) -> None:
    """Saving and loading a scenario gives an equal one back."""
    scenario = sim.Scenario.load(path)
    scenario.save(tmp_path / "again.toml")
    assert sim.Scenario.load(tmp_path / "again.toml") == scenario


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
def test_scenario_file_says_what_it_is(path: Path) -> None:
    """It has a description, and comments on top that say where the figures come from."""
    assert sim.Scenario.load(path).description
    head = path.read_text(encoding="utf-8").split("\n\n")[0]
    assert all(line.startswith("#") for line in head.splitlines())
    assert "invented" in head


@pytest.mark.parametrize("strategy", [PERSISTENT, sim.Polling("1h")], ids=str)
@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
def test_every_instance_ends(path: Path, strategy: sim.Strategy) -> None:
    """No instance is left waiting, and none fails."""
    run = sim.simulate(sim.Scenario.load(path), strategy, seed=1)
    assert len(run.instances) >= 100
    assert set(run.instances["outcome"]) == {"done"}


def test_the_nightly_ledger_has_the_serial_number_of_the_course() -> None:
    """The notebooks and the README speak of 5_31."""
    run = sim.simulate(sim.Scenario.load(DATA / "nightly_ledger.toml"), sim.Callback(), seed=1)
    assert "5_31" in set(run.waits["serial_number"])


def test_the_long_transaction_takes_every_way_out() -> None:
    """Some are rejected, some decided at once, some time out; their late answers are refused."""
    scenario = sim.Scenario.load(DATA / "lines_of_business.toml")
    run = sim.simulate(scenario, sim.Callback(), seed=1)
    decided = run.steps.loc[run.steps["step"] == "decide", "outcome"]
    assert set(decided) == {"resumed", "done", "rejected", "timed out"}
    assert set(run.deliveries["outcome"]) == {"finished", "late, rejected"}


def test_the_person_has_easter_off() -> None:
    """Nothing is approved from Good Friday to Easter Monday."""
    run = sim.simulate(sim.Scenario.load(DATA / "person.toml"), sim.Callback(), seed=1)
    days = set(run.waits["completed_at"].dt.strftime("%m-%d"))
    assert "04-02" in days
    assert "04-07" in days
    assert not days & {"04-03", "04-04", "04-05", "04-06"}


def test_notifications_of_an_approval_are_not_relied_on() -> None:
    """A fifth of them is lost: alone they leave agents to the time-out, a poll beside them not."""
    scenario = sim.Scenario.load(DATA / "agent_approval.toml")
    alone, both = (
        sim.simulate(scenario, strategy, seed=1).waits
        for strategy in (
            sim.Callback(loss=0.2),
            sim.CallbackWithSafetyPoll(loss=0.2, every="30s"),
        )
    )
    unseen = alone["completed"] < alone["closed"] - 1
    assert 0.15 < unseen.mean() < 0.25
    assert set(alone.loc[unseen, "outcome"]) == {"timed out"}
    seen = both["completed"] < both["closed"]
    assert set(both.loc[seen & (both["outcome"] != "resumed"), "outcome"]) <= {"timed out"}
    assert both.loc[seen, "latency"].max() <= 30 + 1


def test_an_outage_costs_what_the_sender_makes_of_it() -> None:
    """Sent once, payments of the two hours are lost; a persistent sender or a poll finds all."""
    scenario = sim.Scenario.load(DATA / "payment_webhook.toml")
    once, again, poll = (
        sim.simulate(scenario, strategy, seed=1).waits
        for strategy in (
            sim.Callback("1s", sender="github"),
            sim.Callback("1s", sender="svix", duplicates=0.01),
            sim.CallbackWithSafetyPoll("1s", every="15min"),
        )
    )
    lost = once["outcome"] == "timed out"
    assert 0.05 < lost.mean() < 0.12
    assert set(once.loc[lost, "completed_at"].dt.hour) <= {11, 12, 13}  # a second on the way
    assert set(again["outcome"]) == set(poll["outcome"]) == {"resumed"}
    assert poll["latency"].max() <= 15 * 60 + 1 < again["latency"].max()


def test_a_sensor_that_is_rescheduled_checks_more_rarely() -> None:
    """Its interval counts from the end of a check; the next step begins 1.4 s later, too."""
    scenario = sim.Scenario.load(DATA / "airflow_sensor.toml")
    deferred, again, push = (
        sim.simulate(scenario.replace(**{"server.poll_work": work}), strategy, seed=1).waits
        for work, strategy in (
            (0, sim.Polling("60s")),
            (1, sim.PollingAfter(["60s"], loop="1.5s")),
            (0, sim.Callback()),
        )
    )
    ratio = again["checks"].sum() / deferred["checks"].sum()
    assert ratio == pytest.approx(60 / 62.5, abs=0.01)
    assert push["latency"].max() == pytest.approx(1.4)


def test_the_herd_runs_into_the_limit() -> None:
    """1,500 get through at once; those who were refused come again together.

    As many get through then as have been refilled since: 315 in 1.05 s (a pause and the way), 615
    in 2.05 s, up to the 1,500 that the bucket holds. So it takes 243 s, not 28.3 s.
    """
    scenario = sim.Scenario.load(DATA / "herd_rate_limit.toml")
    run = sim.simulate(scenario, PERSISTENT, seed=1)
    taken = run.deliveries[run.deliveries["outcome"] == "finished"]
    rounds = taken.groupby("attempt").size().tolist()
    assert rounds == [1500, 315, 615, 1215, 1500, 1500, 1500, 1500, 355]
    assert taken["sent"].max() - run.waits["completed"].min() == pytest.approx(243.0 + 8 * 0.05)
    with pytest.warns(sim.CensoredWarning, match="8500 of 10000 waits were still open"):
        once = sim.simulate(scenario, sim.Callback("50ms"), seed=1)
    assert once.deliveries["outcome"].value_counts()["dead letter"] == 8500


def test_the_log_is_what_its_script_makes(tmp_path: Path) -> None:
    """The script gives the file byte for byte."""
    again = tmp_path / "again.csv"
    subprocess.run([sys.executable, str(DATA / "make_request_log.py"), str(again)], check=True)
    assert again.read_bytes() == LOG.read_bytes()


def test_the_log_reads_with_its_bad_rows_named() -> None:
    """A dozen rows cannot be used; each is kept with its line and what is wrong with it."""
    with pytest.warns(sim.LogWarning, match=r"12 of 3920 rows are not used: line 230: not compl"):
        log = sim.RequestLog.read(LOG)
    assert len(log.rows) == 3908
    lines = LOG.read_text(encoding="utf-8").splitlines()
    for row in log.rejected.itertuples():
        assert lines[row.line - 1].startswith(f"{row.SN},")
    problems = "\n".join(log.rejected["problem"])
    for problem in (
        "not completed",
        "completed is not a timestamp: 'NULL'",
        "completed before it was submitted",
        "no serial number",
        "submitted is not a timestamp: '05/03/2026 09:30'",
        "serial number comes again: first in line 402",
    ):
        assert problem in problems


def test_the_log_can_stand_in_for_the_draws() -> None:
    """Every usable request becomes a wait under its own number, completed when the log says."""
    scenario = sim.Scenario.load(DATA / "nightly_ledger.toml")
    with pytest.warns(sim.LogWarning):
        replayed = scenario.with_log(LOG)
    run = sim.simulate(replayed, sim.Callback())
    assert len(run.waits) == 3908
    first = run.waits.set_index("serial_number").loc["5_31"]
    assert str(first["completed_at"]) == "2026-03-02 22:00:15.050000"


def test_the_llm_batch_takes_as_long_as_its_sources_say() -> None:
    """70 % within 1 h, 20 % within 4 h, 10 % in 8 to 24 h; the mixture that the file names."""
    scenario = sim.Scenario.load(DATA / "llm_batch.toml")
    provider = scenario.systems["provider"]
    assert isinstance(provider, sim.OnlineService)
    law = provider.item_time
    assert isinstance(law, Empirical)
    within = 1 - law.survival(np.array([14400.0, 28799.0, 86400.0]))
    assert within.tolist() == pytest.approx([0.9, 0.9, 1.0])
    assert 1 - float(law.survival(3600.0)) == pytest.approx(0.7, abs=0.06)
    inverse = NormalDist(0, 0.6).inv_cdf
    short = [1500 * math.exp(inverse((k + 0.5) / 70)) for k in range(70)]
    longer = [3600 + 10800 * (k + 0.5) / 20 for k in range(20)]
    longest = [28800 + 57600 * (k + 0.5) / 10 for k in range(10)]
    assert list(law.values) == pytest.approx([*short, *longer, *longest], abs=3.1)


def test_a_payment_after_the_last_cut_off_settles_on_the_next_banking_day() -> None:
    """Friday evening and the weekend of Independence Day settle on Monday at 13:00."""
    scenario = sim.Scenario.load(DATA / "bank_cut_offs.toml")
    waits = sim.simulate(scenario, sim.Callback(), seed=1).waits
    moments = set(waits["completed_at"].dt.strftime("%a %H:%M"))
    days = ("Mon", "Tue", "Wed", "Thu", "Fri")
    assert moments == {f"{day} {at}" for day in days for at in ("13:00", "17:00", "18:00")}
    called = waits["armed_at"].dt.strftime("%m-%d %H:%M")
    over = waits[(called > "07-03 16:46") & (called < "07-06 10:29")]
    assert len(over) > 50
    assert set(over["completed_at"].dt.strftime("%m-%d %H:%M")) == {"07-06 13:00"}


def test_every_file_is_in_the_readme() -> None:
    """Each has its line that says where it comes from."""
    readme = (DATA / "README.md").read_text(encoding="utf-8")
    files = {path.name for path in DATA.iterdir() if path.is_file()} - {"README.md"}
    assert files
    for name in files:
        assert f"| `{name}` |" in readme
