"""Overhead of callbacks and latency of the last one, by simulation."""

from asyncsim.exercises.course import nb01_quickstart as book
from asyncsim.experiment.simulate import simulate
from asyncsim.experiment.statistics import mean_interval
from asyncsim.model.server import WorkflowServer
from asyncsim.model.strategies import Callback


def simulated_mean(scenario, metric, replications=12):
    runs = [
        simulate(scenario, Callback("50ms"), seed=5, replication=k) for k in range(replications)
    ]
    return mean_interval([run.summary()[metric].iloc[0] for run in runs], 0.999)


def test_callback_overhead_by_simulation():
    """Orders times handling is the mean over simulated days."""
    assert book.callback_overhead() in simulated_mean(book.LEDGER, "overhead_worker_time")


def test_last_callback_on_other_days():
    """Other days agree within the tolerance; fluid bounds: callbacks alone, and all work first."""
    server = WorkflowServer(book.WORKERS, poll_work=book.POLL_WORK, callback_work=book.SLOW)
    interval = simulated_mean(book.LEDGER.replace(server=server), "max_latency")
    assert abs(interval.mean - book.last_latency()) < 0.15 * book.last_latency()
    alone = book.ORDERS * (book.SLOW / book.WORKERS - book.ITEM)
    everything = book.ORDERS * ((book.SLOW + 0.2) / book.WORKERS - book.ITEM)
    assert alone < book.last_latency() < everything


def test_each_poll_has_its_own_grid():
    """Every wait of the day fits its own grid, except for the time of a check."""
    letter, measured = book.own_grid()
    assert letter == "b"
    assert "plus 10 ms for the check" in measured
