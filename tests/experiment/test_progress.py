"""A progress bar is shown with threads and without."""

import threading

import pytest
from tqdm.auto import tqdm

from asyncsim.experiment.replications import NO_THREAD, progress_bar


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
