"""Starting a session, going on with one, and what stands in the way."""

import sqlite3

import pytest
import scenarios
from hypothesis import given

import asyncsim as sim
from asyncsim.model.scenario_files import strategy_from, strategy_table

SCENARIO = sim.Scenario.load("data/nightly_ledger.toml")


@pytest.fixture
def path(tmp_path):
    """A store of a session that has been closed at ten."""
    session = sim.live(SCENARIO, store=tmp_path / "w.db", against=sim.Polling("15min"), hold=True)
    session.run_until("10:00")
    session.close()
    return tmp_path / "w.db"


def test_a_store_holds_everything_needed_to_resume(path):
    """Scenario, strategies, seed, what is held, and how late it is."""
    with sim.live(store=path) as session:
        assert session.scenario == SCENARIO
        assert session.strategies == ["callback", "polling 15 min"]
        assert session.now == 36000.0
        session.run_until("23:00")
        assert session.waiting_count == session.instances_count  # the ledger is held


def test_the_same_description_resumes_it(path):
    """So the same cell of a notebook can be run again after the kernel was killed."""
    with sim.live(SCENARIO, store=path, against=sim.Polling("15min"), hold=True) as session:
        assert session.now == 36000.0


@pytest.mark.parametrize(
    ("other", "what"),
    [
        ({"scenario": SCENARIO.replace(name="other")}, "scenario"),
        ({"against": ()}, "strategy"),
        ({"seed": 7}, "seed"),
        ({"hold": False}, "hold"),
        ({"heartbeat": "1min"}, "heartbeat"),
    ],
)
def test_another_description_is_refused(path, other, what):
    """And says in what it differs."""
    arguments = {"scenario": SCENARIO, "against": sim.Polling("15min"), "hold": True, **other}
    with pytest.raises(sim.ScenarioError, match=f"holds a session with another {what}"):
        sim.live(store=path, **arguments)


def test_a_file_of_something_else_is_not_touched(tmp_path):
    """Neither another database nor any other file."""
    other = tmp_path / "other.db"
    database = sqlite3.connect(other)
    database.execute("create table customers (name)")
    database.commit()
    database.close()
    with pytest.raises(sim.StoreError, match="database of something else"):
        sim.live(SCENARIO, store=other)
    text = tmp_path / "text.db"
    text.write_text("This is not a database, but long enough to be one. " * 20)
    with pytest.raises(sim.StoreError, match="cannot be used: file is not a database"):
        sim.live(SCENARIO, store=text)
    assert text.read_text().startswith("This is not a database")
    assert not list(tmp_path.glob("*.turn"))


def test_a_store_that_was_changed_by_hand_is_not_resumed(path):
    """Its records are not what its journal leads to; the first that differs is named."""
    database = sqlite3.connect(path)
    database.execute("update waits set state = 'finished' where serial_number = '3_31'")
    database.commit()
    database.close()
    with pytest.raises(
        sim.StoreError, match="changed by hand: the record of '3_31' in 'waits' is not what"
    ):
        sim.live(store=path)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "needs a scenario, or a store"),
        ({"scenario": "x"}, "scenario must be a Scenario, got 'x'"),
        ({"scenario": SCENARIO, "strategy": sim.Callback}, "not a class, got <class"),
        ({"scenario": SCENARIO, "strategy": "x"}, r"such as Callback\(\), got 'x'"),
        ({"scenario": SCENARIO, "against": [1]}, "against must be a strategy such as"),
        ({"scenario": SCENARIO, "against": sim.Callback()}, "against must differ"),
        ({"scenario": SCENARIO, "hold": "legder"}, "got 'legder'; did you mean 'ledger'"),
        ({"scenario": SCENARIO, "heartbeat": {"post": 1}}, "heartbeat must name asynchronous"),
        ({"scenario": SCENARIO, "heartbeat": -1}, r"heartbeat\['post to ledger'\] must be pos"),
        ({"scenario": SCENARIO, "seed": -1}, "seed must be"),
        ({"scenario": SCENARIO, "store": "README.md/w.db"}, "README.md/w.db' cannot"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    """With the value, and what would be right."""
    with pytest.raises((sim.ScenarioError, sim.StoreError), match=message):
        sim.live(**arguments)


def test_a_custom_strategy_cannot_be_stored_in_a_file(tmp_path):
    """But it can be played in memory."""

    class Mine(sim.Callback):
        pass

    with pytest.raises(sim.ScenarioError, match="Mine is a strategy of your own"):
        sim.live(SCENARIO, Mine(), store=tmp_path / "w.db")
    session = sim.live(SCENARIO, Mine())
    session.run_until("09:00")
    assert session.waiting_count > 0


@given(scenarios.strategies())
def test_a_strategy_written_down_is_read_again_as_it_was(strategy):
    """Every built-in one, whatever its arguments."""
    assert strategy_from(strategy_table(strategy), "file") == strategy


def test_a_session_in_memory_can_be_saved_and_resumed(tmp_path):
    """Or be replayed."""
    session = sim.live(SCENARIO, hold=True, seed=1)
    session.run_until("12:00")
    session.finish("5_31", {"InvoiceNo": 42})
    session.backup(tmp_path / "saved.db")
    with sim.live(store=tmp_path / "saved.db") as again:
        assert again.wait("5_31")["data"] == {"InvoiceNo": 42}
        assert again.waiting_count == session.waiting_count
    replayed = sim.replay(tmp_path / "saved.db")
    replayed.run_to_end()
    assert replayed.waiting_count == session.waiting_count


def test_a_backup_takes_no_file_that_exists(tmp_path):
    """It stays as it is."""
    session, taken = sim.live(SCENARIO, hold=True), tmp_path / "taken.db"
    taken.write_text("something else")
    with pytest.raises(sim.ScenarioError, match="must be a new file"):
        session.backup(taken)
    assert taken.read_text() == "something else"


def test_one_store_by_two_names_has_one_owner(path, tmp_path):
    """Also by a link, and after the first has come and gone."""
    (tmp_path / "link.db").symlink_to(path)
    with sim.live(store=path), pytest.raises(sim.StoreError, match="another session"):
        sim.live(store=tmp_path / "link.db")
    sim.live(store=tmp_path / "link.db").close()


def test_a_step_is_finished_while_no_session_plays(path):
    """Its instance continues when the store is next opened."""
    assert sim.finish_in_store(path, "5_31", {"by": "Ann"}).text == "finished"
    assert sim.finish_in_store(path, "5_31").text == "duplicate, rejected"
    assert sim.finish_in_store(path, "no number").text == "unknown, rejected"
    with sim.live(store=path) as session:
        assert session.instance(5)["fields"] == {"by": "Ann"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"hold": True}, "hold goes with a scenario"),
        ({"profile": "n8n"}, "profile goes with a scenario"),
        ({"strategy": sim.Callback()}, "strategy goes with a scenario"),
    ],
)
def test_what_a_store_knows_is_not_given_again(path, arguments, message):
    """It would be without effect."""
    with pytest.raises(sim.ScenarioError, match=message):
        sim.live(store=path, **arguments)


def test_a_mistyped_store_is_not_made(tmp_path):
    """A session to resume must exist."""
    with pytest.raises(sim.ScenarioError, match="no such file"):
        sim.live(store=tmp_path / "typo.db")
    with pytest.raises(sim.ScenarioError, match="no such file"):
        sim.finish_in_store(tmp_path / "typo.db", "5_31")
    assert not list(tmp_path.iterdir())


def test_a_store_answers_whatever_stands_for_a_number(path):
    """As a session does; half a character is in no database."""
    assert sim.finish_in_store(path, "\ud800") is sim.Answer.UNKNOWN


def test_a_store_brings_its_folder_along(tmp_path):
    """As every other file that is written."""
    path = tmp_path / "out" / "deep" / "session.db"
    with sim.live(SCENARIO, store=path):
        assert path.exists()
