"""Theory is the oracle: every experiment agrees, and a wrong theory is found out."""

from itertools import islice

import attrs
import pandas as pd
import pytest

from asyncsim.errors import ScenarioError
from asyncsim.study.experiments import Experiment, all_experiments, queue_experiments
from asyncsim.study.verify import verify

QUICK = {experiment.name: experiment for experiment in all_experiments(quick=True)}


@pytest.mark.parametrize("name", QUICK)
def test_simulation_agrees_with_theory(name):
    """The mean over replications is within its own tolerance of the closed form."""
    found = verify(experiments=[QUICK[name]], progress=False)
    assert found.passed, f"\n{found}"


@pytest.mark.parametrize("error", [0.9, 1.1])
def test_a_theory_that_is_a_tenth_off_does_not_pass(error):
    """The check can fail: with theory changed by 10 %, narrow intervals say 'wrong'."""
    right = QUICK["polling 10 min; external exponential"]
    theory = {figure: value * error for figure, value in right.theory.items()}
    found = verify(experiments=[attrs.evolve(right, theory=theory)], progress=False)
    assert not found.passed
    assert set(found.table["verdict"]) <= {"wrong", "undecided"}


def test_too_few_replications_decide_nothing():
    """A wide interval contains the theory by luck; the verdict is 'undecided', not 'ok'."""
    found = verify(2, experiments=[next(queue_experiments(300))], progress=False)
    assert not found.passed
    assert "undecided" in set(found.table["verdict"])


def test_one_replication_is_refused():
    """Without an interval there is no verdict."""
    flat = Experiment("flat", {"figure": 1.0}, lambda seed, replication: {"figure": 1.0})
    with pytest.raises(ScenarioError, match="replications must be 2 or more"):
        verify(1, experiments=[flat], progress=False)


def test_the_table_of_the_facts_is_among_the_experiments():
    """M/M/c for five c, M/D/1, D/M/1, both batch queues, herd, every anchor, open waits."""
    names = " | ".join(QUICK)
    for part in ("M/M/1,", "M/M/2,", "M/M/5,", "M/M/10,", "M/M/20,", "M/D/1", "D/M/1", "M^10/M/1"):
        assert part in names
    for part in ("M^10/D/1", "herd of 1000", "callbacks on 20", "random", "clock", "backoff"):
        assert part in names
    for part in (
        "safety poll",
        "retries",
        "open waits",
        "long polling",
        "before the wait is armed",
    ):
        assert part in names


def test_the_answer_is_readable():
    """Printed, it says how many figures agree; in a notebook, it is a table."""
    found = verify(3, experiments=[QUICK["polling 6.667 min; external fixed"]], progress=False)
    assert "3 of 3 figures agree with theory" in repr(found)
    assert "<table" in found._repr_html_()


def test_experiments_are_told_the_same_on_several_processes(monkeypatch):
    """Theory is held against the same replications, wherever they are played."""
    few = list(islice(all_experiments(quick=True), 3))
    monkeypatch.setattr("asyncsim.study.verify.all_experiments", lambda quick: iter(few))
    one, two = (verify(3, quick=True, n_jobs=n, progress=False) for n in (1, 2))
    pd.testing.assert_frame_equal(one.table, two.table, check_exact=True)


@pytest.mark.parametrize("wrong", ["20", None, 2.5, True])
def test_a_wrong_number_of_replications_is_named(wrong):
    """It is a whole number."""
    with pytest.raises(ScenarioError, match=r"replications must be a whole number.*, got"):
        verify(wrong)
