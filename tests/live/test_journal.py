"""The journal finds every change, does not grow what is played again, and answers a key once."""

import random
import shutil
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from thorough import times

import asyncsim as sim
from asyncsim.engine.waits import Answer
from asyncsim.live.journal import Journal
from asyncsim.live.store import Store

FLIPS = times(150)
SCENARIO = sim.Scenario(
    name="approval",
    process=sim.Process(
        "p",
        [sim.AsyncStep("approve", "people", timeout="1h"), sim.AsyncStep("sign", "people")],
    ),
    systems={"people": sim.People(2, "10min")},
    arrivals=sim.Regular("1s"),
    length="20s",
    server=sim.WorkflowServer(callback_work="10ms"),
)


@pytest.fixture
def path(tmp_path):
    """A store with everything a session can have in it, that nobody plays."""
    path = tmp_path / "s.db"
    more = {"on_response": lambda call: call.fields.update(Score=7), "heartbeat": "30min"}
    with sim.live(SCENARIO, hold=True, store=path, **more) as session:
        session.run_until(12)
        for number in ("1_1", "2_1", "3_1"):
            session.finish(number, {"InvoiceNo": 42}, key=f"key-{number}")
        session.finish("1_1", strict=False)
        session.start({"by": "hand"})
        session.heartbeat("5_1")
        session.retry("6_1")
        session.complete("7_1")
        session.run_until(30)
    sim.finish_in_store(path, "4_1", {"InvoiceNo": 43})
    return path


def seen(path):
    """Return all that a session shows after it was opened and played on."""
    with sim.live(store=path) as session:
        session.run_for(1.0)
        session.finish("8_1", {"late": True}, strict=False)
        session.run_for(5.0)
        run = session.so_far()
        instances = [session.instance(k + 1) for k in range(session.instances_count)]
        return (
            repr(instances),
            *(table.to_csv() for table in (session.waiting, session.answers, run.waits, run.steps)),
            run.deliveries.to_csv(),
        )


def refused_or_same(damaged, truth):
    """Whether damage is reported by the file's name and a remedy, or has changed nothing."""
    try:
        return seen(damaged) == truth
    except sim.StoreError as error:
        return str(damaged) in str(error)


class TestDamage:
    @pytest.mark.slow
    def test_no_bit_can_flip_unnoticed(self, path, tmp_path):
        """150 of them: the file is named, or all is as it was."""
        whole, chance = path.read_bytes(), random.Random(4)
        shutil.copy(path, tmp_path / "whole.db")
        truth = seen(tmp_path / "whole.db")
        believed = []
        for k in range(FLIPS):
            bit = chance.randrange(8 * len(whole))
            data = bytearray(whole)
            data[bit // 8] ^= 1 << bit % 8
            for old in tmp_path.glob("flipped.db*"):
                old.unlink()
            damaged = tmp_path / "flipped.db"
            damaged.write_bytes(data)
            if not refused_or_same(damaged, truth):
                believed.append((k, bit))
        assert not believed

    @pytest.mark.parametrize(
        "edit",
        [
            """update inputs set data = '{"InvoiceNo": 666}' where seq = 1""",
            "update inputs set data = null where seq = 2",
            "update inputs set instant = instant + 1 where seq = 3",
            "update inputs set serial_number = '9_1' where seq = 1",
            "update inputs set noted_at = '2020-01-01' where seq = 1",
            "update inputs set key = 'another' where seq = 1",
            "update inputs set effective = 0 where seq = 2",
            "update inputs set answer = 'DUPLICATE' where seq = 2",
            "delete from inputs",
            "delete from inputs where seq = 1",
            "delete from inputs where seq = (select max(seq) from inputs)",
            "insert into inputs select seq + 20, kind, '9_1', data, instant, answer, noted_at, "
            "null, effective, digest from inputs where seq = 2",
            "delete from waits where serial_number = '9_1'",
            "delete from waits",
            "update waits set state = 'finished' where serial_number = '9_1'",
            "update waits set state = 'nonsense' where serial_number = '9_1'",
            "update waits set armed = null where serial_number = '9_1'",
            "update waits set data = '{\"InvoiceNo\": 666}' where serial_number = '1_1'",
            "update waits set checks = 5 where serial_number = '1_1'",
            "insert into waits select '99_1', 99, step, system, state, called, armed, completed, "
            "closed, checks, wasted_checks, deliveries, data, kept_since, kept_data, node, number "
            "from waits where serial_number = '9_1'",
            "update fields set data = '{}' where instance = 1",
            "delete from fields",
            "update deadlines set due = due + 1 where serial_number = '9_1'",
            "delete from deadlines",
            "delete from responses where serial_number = '1_1'",
            "update responses set data = '{\"Score\": 8}'",
            "update responses set response = 'rejected' where serial_number = '9_1'",
            "update about set value = '8' where key = 'seed'",
            "update about set value = '[]' where key = 'hold'",
            "update about set value = replace(value, '20', '25') where key = 'scenario'",
            "update about set value = 'x' where key = 'scenario'",
            "update about set value = '[0.0, 1, \"\", \"\"]' where key = 'head'",
            "delete from about where key = 'head'",
            "delete from about where key = 'format'",
            "delete from about",
            "drop table waits",
            "drop table fields",
            "drop table responses",
            "drop index waiting",
            "drop index next_due",
            "alter table deadlines rename to other",
        ],
    )
    def test_no_edit_by_hand_is_believed(self, path, edit, tmp_path):
        """Of the journal, the records, the description: the file is named, or all is as it was."""
        shutil.copy(path, tmp_path / "whole.db")
        truth = seen(tmp_path / "whole.db")
        with closing(sqlite3.connect(path)) as database, database:
            database.execute(edit)
        assert refused_or_same(path, truth)

    def test_a_message_says_what_to_do(self, path):
        """It names the file, the place and the remedy."""
        with closing(sqlite3.connect(path)) as database, database:
            database.execute("""update inputs set data = '{"InvoiceNo": 666}' where seq = 2""")
        with pytest.raises(
            sim.StoreError,
            match=r"s\.db' is damaged or was changed by hand: row 2 of its journal.*backup\(path\)",
        ):
            sim.live(store=path)
        with pytest.raises(sim.StoreError, match="row 2 of its journal"):
            sim.replay(path)

    def test_a_store_of_another_format_is_named_with_its_version(self, path):
        """What was written by another version is not guessed at."""
        with closing(sqlite3.connect(path)) as database, database:
            database.execute("update about set value = '1' where key = 'format'")
            database.execute("update about set value = '\"0.0.9\"' where key = 'asyncsim'")
        with pytest.raises(sim.StoreError, match=r"was made by asyncsim 0\.0\.9 in another format"):
            sim.live(store=path)


@pytest.fixture
def killed(path, tmp_path):
    """A store as a killed process leaves it: thirty finishes in its log, each acknowledged."""
    session = sim.live(store=path)
    for k in range(30):
        session.finish(f"{k % 10 + 1}_1", {"n": k}, strict=False)
    for ending in ("", "-wal"):
        shutil.copy(f"{path}{ending}", tmp_path / f"killed.db{ending}")
    session.close()
    return tmp_path / "killed.db"


class TestDamagedLog:
    """What lies behind a damaged place of the write-ahead log is not lost in silence."""

    def test_a_log_that_is_whole_is_read(self, killed, caplog):
        """The finishes in it are there, and nothing is reported."""
        with sim.live(store=killed) as session:
            assert len(session.answers) >= 30
        assert "not whole" not in caplog.text

    @pytest.mark.parametrize("place", [0.0, 0.001, 0.1, 0.3, 0.6])
    def test_a_damaged_log_is_refused(self, killed, place):
        """Its header, or a frame with many acknowledged commits behind it."""
        log = killed.with_name("killed.db-wal")
        data = bytearray(log.read_bytes())
        data[int(len(data) * place) + 17] ^= 4
        log.write_bytes(data)
        with pytest.raises(sim.StoreError, match=r"writes are behind a damaged place of .*-wal'"):
            sim.live(store=killed)

    def test_a_last_write_that_is_cut_off_is_reported(self, killed, caplog):
        """A kill in the middle of a write leaves one; the session is opened without it."""
        log = killed.with_name("killed.db-wal")
        data = bytearray(log.read_bytes())
        data[-1] ^= 4
        log.write_bytes(data)
        sim.live(store=killed).close()
        assert "the last write in" in caplog.text
        assert "is not whole" in caplog.text

    def test_what_killed_processes_leave_one_after_the_other_is_no_damage(self, tmp_path):
        """Each is killed between its log and the index: a later one covers a part of an earlier."""
        path = tmp_path / "s.db"
        first = Store(path)  # keeps the index, so that no process reads the log anew
        for size in (90_000, 60_000, 30_000):
            index = Path(f"{path}-shm").read_bytes()[:136]
            with closing(sqlite3.connect(path, isolation_level=None)) as database:
                database.execute("insert into about values ('k', ?)", ["x" * size])
                with Path(f"{path}-shm").open("r+b") as file:
                    file.write(index)
        Store(path).close()
        assert first.one("select count(*) from about where key = 'k'") == (0,)
        first.close()


def test_a_response_that_was_changed_is_not_replayed(path):
    """What users' functions have answered has a digest of its own."""
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("update responses set response = 'done' where serial_number = '9_1'")
    with pytest.raises(sim.StoreError, match="response to the call of '9_1' is not as it was"):
        sim.replay(path)


def test_a_session_whose_log_is_gone_is_not_begun_anew_in_silence(path, tmp_path):
    """The file alone says which session it holds."""
    session = sim.live(SCENARIO, store=tmp_path / "new.db", hold=True, seed=7)
    shutil.copy(tmp_path / "new.db", tmp_path / "copy.db")
    session.close()
    with pytest.raises(sim.ScenarioError, match="holds a session with another seed"):
        sim.live(SCENARIO, store=tmp_path / "copy.db", hold=True, seed=8)


class TestGrowth:
    def test_what_changes_nothing_is_not_played_again(self, path):
        """Duplicates, late finishes and heartbeats are in the log, and in the tables as ever."""
        with sim.live(store=path) as session:
            for _ in range(50):
                session.finish("1_1", {"again": 1}, strict=False)
            session.heartbeat("1_2")
            before = session.so_far()
            assert len(Journal(session.store).verified()[1]) < 12
            assert list(session.answers["answer"]).count("duplicate, rejected") == 51
            assert list(before.deliveries["outcome"]).count("duplicate, rejected") == 51
            assert before.waits.set_index("serial_number").loc["1_1", "deliveries"] == 52
        with sim.live(store=path) as again:
            after = again.so_far()
            assert after.deliveries.equals(before.deliveries)
            assert after.waits.equals(before.waits)
            assert list(again.answers["answer"]).count("duplicate, rejected") == 51

    def test_a_finish_that_is_turned_away_occupies_no_worker(self, path):
        """However often a client repeats it, the simulated server has no more to do."""
        with sim.live(store=path) as session:
            before = session.so_far().overhead.set_index("kind")["worker_seconds"]
            for _ in range(50):
                session.finish("1_1", strict=False)
            after = session.so_far().overhead.set_index("kind")["worker_seconds"]
            assert after["callback"] == before["callback"]

    def test_an_early_finish_that_completes_the_work_is_played_again(self, tmp_path):
        """It was turned away, and has told that the outside work is done."""
        scenario = SCENARIO.replace(
            process=sim.Process("p", [sim.AsyncStep("approve", "people", arm_delay="1min")])
        )
        path = tmp_path / "s.db"
        with sim.live(scenario, sim.Polling("30s"), hold=True, store=path) as session:
            session.run_until(5)
            assert session.finish("1_1", strict=False) is Answer.EARLY
            assert session.finish("1_1", strict=False) is Answer.EARLY
        with sim.live(store=path) as session:
            assert len(session._sides.journal.verified()[1]) == 1
            session.run_until(200)
            assert session.wait("1_1")["state"] == "finished"


class TestIdempotency:
    def test_the_same_key_gets_the_same_answer(self, path):
        """Also after a crash; another client's finish is told from it."""
        with sim.live(store=path) as session:
            assert session.finish("1_1", {"InvoiceNo": 42}, key="key-1_1") is Answer.FINISHED
            with pytest.raises(sim.AlreadyFinished):
                session.finish("1_1", {"InvoiceNo": 42}, key="other")
            with pytest.raises(sim.AlreadyFinished):  # and so it stays
                session.finish("1_1", {"InvoiceNo": 42}, key="other")
            rows = session.store.one("select count(*) from inputs")[0]
            assert session.finish("2_1", {"InvoiceNo": 42}, key="key-2_1") is Answer.FINISHED
            assert session.store.one("select count(*) from inputs")[0] == rows
            assert session.answers["answer"].iloc[-1] == "finished, repeated"
            assert session.instance(2)["fields"]["InvoiceNo"] == 42

    def test_a_key_is_for_one_finish(self, path):
        """Another number or other data under it is a mistake, and nothing is done."""
        with sim.live(store=path) as session:
            for number, data in (("9_1", {"InvoiceNo": 42}), ("1_1", {"InvoiceNo": 43})):
                with pytest.raises(sim.ScenarioError, match=r"'key-1_1' was used to finish '1_1'"):
                    session.finish(number, data, key="key-1_1")
            assert session.wait("9_1")["state"] == "waiting"

    @pytest.mark.parametrize("key", ["", "x" * 256, "é", "a\nb", " ", 5])
    def test_what_is_no_key_is_refused(self, path, key):
        """A header must be able to carry it."""
        with (
            sim.live(store=path) as session,
            pytest.raises(sim.ScenarioError, match="key must be 1 to 255 visible"),
        ):
            session.finish("9_1", key=key)

    def test_answers_that_may_change_are_not_kept(self, path):
        """A sender that was too early tries again with the same key, and is heard."""
        with sim.live(store=path) as session:
            for _ in range(2):
                assert session.finish("77_1", strict=False, key="k") is Answer.UNKNOWN
            assert session.finish("9_1", key="k") is Answer.FINISHED
            assert session.finish("9_1", key="k") is Answer.FINISHED

    def test_it_holds_across_processes_and_kills(self, path):
        """The answer was lost with the process; the next one gives it again."""
        code = (
            "import os, sys, asyncsim as sim\n"
            "session = sim.live(store=sys.argv[1])\n"
            "session.finish('9_1', {'n': 1}, key='mine')\n"
            "os.kill(os.getpid(), 9)"
        )
        killed = subprocess.run([sys.executable, "-c", code, path])
        assert killed.returncode == -9
        assert sim.finish_in_store(path, "9_1", {"n": 1}, key="mine") is Answer.FINISHED
        assert sim.finish_in_store(path, "9_1", {"n": 1}, key="yours") is Answer.DUPLICATE
        with sim.live(store=path) as session:
            assert session.finish("9_1", {"n": 1}, key="mine") is Answer.FINISHED

    def test_many_at_once_with_one_key_are_one_finish(self, path):
        """Each of them is told that it was finished; the record was finished once."""
        with sim.live(store=path) as session, ThreadPoolExecutor(8) as pool:
            told = list(pool.map(lambda _: session.finish("9_1", key="k"), range(64)))
            assert set(told) == {Answer.FINISHED}
            inputs = session.store.one("select count(*) from inputs where serial_number = '9_1'")
            assert inputs[0] == 1


def test_an_input_of_another_process_is_chained_before_and_after_it_is_played(path):
    """Three processes' finishes in a row, heard together, and the chain holds."""
    for number in ("9_1", "10_1"):
        sim.finish_in_store(path, number)
    store = Store(path)
    Journal(store).verified()
    assert len(Journal(store).waiting()) == 3
    store.close()
    sim.live(store=path).close()
    store = Store(path)
    assert not Journal(store).waiting()
    Journal(store).verified()
    store.close()
