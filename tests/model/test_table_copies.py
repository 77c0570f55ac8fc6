"""Tables and arrays are copies that the caller may change."""

import importlib
import pkgutil

import attrs
import numpy as np
import pytest
from handed_out import assert_handed_out

import asyncsim as sim
from asyncsim.experiment.statistics import batch_means

INSIDE = {"Reading", "Log", "LogParts", "Record"}
"""Classes with tables that no result hands out."""


def result_classes():
    """Yield the attrs classes of the package with a table among their fields."""
    for found in pkgutil.walk_packages(sim.__path__, "asyncsim."):
        if not found.name.endswith("__main__"):
            for cls in vars(importlib.import_module(found.name)).values():
                if isinstance(cls, type) and cls.__module__ == found.name and attrs.has(cls):
                    names = [f.name for f in attrs.fields(cls) if f.type == "pd.DataFrame"]
                    if names:
                        yield cls, names


def test_every_result_with_a_table_hands_out_copies():
    """A class that is new and forgets it is found here."""
    classes = dict(result_classes())
    assert len(classes) > 5
    for cls, names in classes.items():
        for name in names:
            own = isinstance(cls.__dict__[name], property)
            assert own or cls.__name__ in INSIDE, f"{cls.__name__}.{name}"


def test_arrays_are_the_callers_own():
    """Changing the means of batches does not change the result."""
    assert_handed_out(batch_means(np.random.default_rng(2).normal(10, 1, 600)), "means")


def test_answers_and_fits_hand_out_copies():
    """A herd's table, and what a fit found."""
    scenario = sim.Scenario.load("data/nightly_ledger.toml")
    assert_handed_out(sim.herd_drain(scenario, replications=2, progress=False), "herds")
    with pytest.warns(sim.LogWarning):
        fit = sim.fit("data/request_log.csv")
    for name in ("account", "unexplained", "problems", "table"):
        assert_handed_out(fit, name)
    for name in ("candidates", "table", "days"):
        assert_handed_out(fit.arrivals, name)
