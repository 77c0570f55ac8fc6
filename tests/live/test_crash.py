"""The playing process is killed again and again, while clients finish numbers."""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import pytest
from thorough import times

import asyncsim as sim
from asyncsim.engine.waits import Answer
from asyncsim.live.journal import Journal
from asyncsim.live.records import StoredWaits, finish_record
from asyncsim.live.store import Store

pytestmark = pytest.mark.slow

KILLS = times(50)
TOLD = 20
CLIENTS = 3
INSTANCES = 240
PLAYERS = Path(__file__).with_name("players.py")
SCENARIO = sim.Scenario(
    name="approval",
    process=sim.Process(
        "approve and post",
        [
            sim.Step("read", work=sim.exponential("1s")),
            sim.AsyncStep("approve", system="people", call_work="100ms"),
            sim.AsyncStep("post", system="ledger", timeout="10min", on_timeout="continue"),
            sim.Step("notify", work=sim.exponential("1s")),
        ],
    ),
    systems={
        "people": sim.OnlineService("1s"),
        "ledger": sim.OnlineService(sim.exponential("5min"), lanes=None),
    },
    arrivals=sim.UniformArrivals(INSTANCES),
    length="8h",
    server=sim.WorkflowServer(workers=3, callback_work="50ms"),
)


class Client(threading.Thread):
    """Finishes numbers that wait, some of them twice, and remembers what it was told."""

    def __init__(self, path, seed):
        super().__init__(daemon=True)
        self.path, self.random = path, random.Random(seed)
        self.told = Counter()
        self.handed = {}
        self.seen = set()
        self.broken = []
        self.over = threading.Event()

    def run(self):
        store = Store(self.path)
        waits = StoredWaits(SCENARIO, store)
        query = "select serial_number from waits where state = 'waiting' and step = 'approve'"
        while not self.over.wait(0.003):
            numbers = [number for (number,) in store.all(query)]
            self.seen.update(numbers)
            for number in self.random.sample(numbers, min(1, len(numbers))):
                for _ in range(self.random.choice([1, 1, 2])):
                    self.finish(store, waits, number)
            if self.handed:
                number = self.random.choice(list(self.handed))
                found = store.one(
                    "select state, data from waits where serial_number = ?", (number,)
                )
                if found != ("finished", f'{{"by": "{self.handed[number]}"}}'):
                    self.broken.append((number, found))
        store.close()

    def finish(self, store, waits, number):
        by = f"{self.name} {self.random.random()}"
        if finish_record(store, waits, number, {"by": by}) is Answer.FINISHED:
            self.told[number] += 1
            self.handed[number] = by


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork, which this system does not have")
def test_no_wait_is_lost_and_none_resumes_twice_however_often_the_player_is_killed(tmp_path):
    """50 kills at random moments: every serial number is accounted for."""
    path = tmp_path / "workshop.db"
    sim.live(SCENARIO, store=path, seed=5, hold="people").close()
    clients = [Client(path, seed) for seed in range(CLIENTS)]
    for client in clients:
        client.start()
    chance, moments = random.Random(1), [0.0]
    with subprocess.Popen(
        [sys.executable, PLAYERS, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as players:
        for _ in range(KILLS):
            players.stdin.write("play\n")
            players.stdin.flush()
            words = iter(players.stdout.readline, "")
            pid = next(int(word.split()[1]) for word in words if word.startswith("pid"))
            for _ in range(chance.randrange(10)):  # slices, not seconds: a busy machine needs more
                next(words)
            time.sleep(chance.expovariate(1 / 0.005))  # somewhere in the next one
            os.kill(pid, signal.SIGKILL)
            moments.append(now_of(path))
        players.stdin.close()
    for client in clients:
        client.over.set()
        client.join()
    assert moments == sorted(moments)
    assert len(set(moments)) > KILLS / 2  # it came on, in spite of all
    assert not [broken for client in clients for broken in client.broken]
    account_for(path, clients)


def now_of(path):
    """Return how far a store has come."""
    store = Store(path)
    try:
        return Journal(store).load()
    finally:
        store.close()


def account_for(path, clients):
    """Play the session to its end, and account for every serial number."""
    session = sim.live(store=path)
    told = sum((client.told for client in clients), Counter())
    assert len(told) > TOLD
    session.run_until("12:00")
    for number in session.waiting["serial_number"]:
        told[number] += session.finish(number) is Answer.FINISHED
    session.run_until("14:00")
    run = session.so_far()
    approved = run.waits[run.waits["step"] == "approve"]
    assert sorted(approved["serial_number"]) == sorted(f"{k + 1}_2" for k in range(INSTANCES))
    assert set(approved["outcome"]) == {"resumed"}
    assert told == Counter(dict.fromkeys(approved["serial_number"], 1))
    assert {number for client in clients for number in client.seen} <= set(told)
    assert set(run.instances["outcome"]) == {"done"}
    assert len(run.instances) == INSTANCES
    assert (run.steps["step"].value_counts() == INSTANCES).all()
    for client in clients:
        for number, by in client.handed.items():
            assert session.instance(int(number.split("_")[0]))["fields"] == {"by": by}
    session.close()
