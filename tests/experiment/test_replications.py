"""Replications may be played in any process, and come back in order, under a progress bar."""

import concurrent.futures
import errno
import multiprocessing
import os
import threading
import time
from concurrent.futures import Executor
from functools import partial
from multiprocessing.process import BaseProcess

import pytest
from tqdm import tqdm

import asyncsim as sim
from asyncsim.experiment.replications import (
    NO_THREAD,
    Replications,
    RunSummary,
    jobs,
    mapping,
    processes,
    progress_bar,
    threads_start,
)

SCENARIO = sim.Scenario(
    name="outside",
    process=sim.Process("p", [sim.AsyncStep("ask", system="office")]),
    systems={"office": sim.OnlineService(sim.exponential("10min"), lanes=None)},
    arrivals=sim.UniformArrivals(20),
)


def slow_at_first(k):
    """Take longer for smaller numbers."""
    time.sleep(0.02 * (3 - k))
    return k, os.getpid()


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_results_come_in_the_order_of_the_replications(n_jobs):
    """Early results wait for their predecessors; with one job nothing leaves this process."""
    with mapping(n_jobs) as each:
        found = list(each(slow_at_first, range(4)))
    assert [k for k, _ in found] == [0, 1, 2, 3]
    assert (os.getpid() in {pid for _, pid in found}) == (n_jobs == 1)


def test_a_summary_is_that_of_the_run():
    """Metrics, latencies and open waits are those of the runs themselves."""
    plan = Replications(SCENARIO, (sim.Callback("1s"), sim.Callback(loss=1.0)), 3, "auto")
    for summary, run in zip(plan.collect(RunSummary.of, 2), plan.runs(2), strict=True):
        assert run.draws.replication == 2
        assert summary.metrics == pytest.approx(RunSummary.of(run).metrics, rel=0, nan_ok=True)
        assert summary.latencies.tolist() == run.waits.latency.dropna().tolist()
        assert summary.censored == (run.waits.outcome == "waiting").sum()


def test_minus_one_is_a_process_for_each_processor():
    """As other tools have it."""
    assert jobs(-1) == os.cpu_count()
    assert jobs(3) == 3


@pytest.mark.parametrize("wrong", [0, -2, 1.5, True, "2", None])
def test_a_wrong_number_of_processes_is_named(wrong):
    """It is a whole number from 1, or -1."""
    with pytest.raises(sim.ScenarioError, match=r"n_jobs must .* \(or -1 for all"):
        jobs(wrong)


STRATEGIES = [sim.Callback("1s"), sim.Polling("5min")]
NO_POOL = [
    NotImplementedError("This Python build lacks multiprocessing.synchronize"),  # as Pyodide's
    OSError(errno.ENOSYS, "Function not implemented"),
]


def raising(error):
    """Return a function that raises an error whatever it is given."""

    def function(*_, **__):
        raise error

    return function


@pytest.mark.parametrize("error", NO_POOL, ids=["no semaphores", "no fork"])
def test_a_study_is_played_here_where_no_process_starts(monkeypatch, error):
    """The same figures, and a warning that names the reason and what to do."""
    here = sim.compare(SCENARIO, STRATEGIES, replications=3, progress=False)
    monkeypatch.setattr(concurrent.futures, "ProcessPoolExecutor", raising(error))
    with pytest.warns(UserWarning, match="n_jobs=2 needs processes.*n_jobs=1 avoids"):
        found = sim.compare(SCENARIO, STRATEGIES, replications=3, n_jobs=2, progress=False)
    assert found.table.equals(here.table)


def test_a_sweep_is_played_here_where_no_thread_starts(monkeypatch):
    """A pool needs a thread to talk to its processes, so that none is tried without."""
    grid = {"strategy.interval": ["1min", "2min"]}
    here = sim.sweep(SCENARIO, grid, STRATEGIES[1:], replications=2, progress=False)
    monkeypatch.setattr(threading.Thread, "start", raising(RuntimeError(NO_THREAD)))
    assert not threads_start()
    with pytest.warns(UserWarning, match="can't start new thread"):
        found = sim.sweep(SCENARIO, grid, STRATEGIES[1:], replications=2, n_jobs=2, progress=False)
    assert found.table.equals(here.table)


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")  # of the fork below
def test_no_process_is_left_waiting_if_not_all_can_be_started(monkeypatch):
    """A limit of the machine on processes: those that were started would wait for ever."""
    start, started = BaseProcess.start, []

    def limited(process):
        if started:
            raise OSError(errno.EAGAIN, "Resource temporarily unavailable")
        started.append(process)
        start(process)

    monkeypatch.setattr(BaseProcess, "start", limited)
    pool = concurrent.futures.ProcessPoolExecutor
    fork = multiprocessing.get_context("fork")  # else processes are started one by one
    forking = partial(pool, mp_context=fork)
    monkeypatch.setattr(concurrent.futures, "ProcessPoolExecutor", forking)
    with pytest.warns(UserWarning, match="temporarily unavailable"), processes(3) as executor:
        assert executor is None
    started[0].join(timeout=30)
    assert not multiprocessing.active_children()


def test_what_is_wrong_with_a_thread_is_not_hidden(monkeypatch):
    """Only the error of a thread that cannot start is caught."""
    monkeypatch.setattr(threading.Thread, "start", raising(RuntimeError("threads start once")))
    with pytest.raises(RuntimeError, match="start once"):
        threads_start()


def test_processes_are_used_where_there_are_any():
    """One means this one."""
    assert threads_start()
    with processes(1) as executor:
        assert executor is None
    with processes(2) as executor:
        assert isinstance(executor, Executor)
        assert executor.submit(os.getpid).result() != os.getpid()


@pytest.mark.parametrize("threads", [True, False])
def test_a_bar_counts_without_a_complaint(monkeypatch, capsys, threads):
    """Without threads tqdm would warn that it has no monitor, and warnings are errors here."""

    def fails(self):
        raise RuntimeError(NO_THREAD)

    monkeypatch.setattr(tqdm, "monitor", None)
    monkeypatch.setattr(tqdm, "monitor_interval", 10)
    if not threads:
        monkeypatch.setattr(threading.Thread, "start", fails)
    with progress_bar(True, total=3, desc="counting") as bar:
        bar.update(3)
        assert bar.n == 3
    assert "counting: " in capsys.readouterr().err
    if tqdm.monitor is not None:
        tqdm.monitor.exit()


def test_a_bar_that_is_not_wanted_writes_nothing(capsys):
    """`progress=False` is silent."""
    with progress_bar(False, total=3) as bar:
        bar.update(3)
    assert capsys.readouterr().err == ""
