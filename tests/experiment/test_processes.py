"""Where no process or thread can be started, everything is played here, and said."""

import concurrent.futures
import errno
import multiprocessing
import os
import threading
from concurrent.futures import Executor
from functools import partial
from multiprocessing.process import BaseProcess

import pytest

import asyncsim as sim
from asyncsim.experiment.replications import NO_THREAD, processes, threads_start

SCENARIO = sim.Scenario(
    name="outside",
    process=sim.Process("p", [sim.AsyncStep("ask", system="office")]),
    systems={"office": sim.OnlineService(sim.exponential("10min"), lanes=None)},
    arrivals=sim.UniformArrivals(20),
)
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
    """Only a thread that cannot be started is no thread."""
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
