"""Settings for all tests; ``--hypothesis-profile=thorough`` searches ten times as long.

``-m "not slow"`` runs the fast tests: some three minutes on two cores, without a browser, a
notebook or the site of the documentation.
"""

from pathlib import Path

import pytest
from hypothesis import settings

from asyncsim.fast import background_compilation

# A slow machine is no error: the first call of a function may import half of SciPy
settings.register_profile("asyncsim", deadline=None)
settings.register_profile("thorough", deadline=None, max_examples=1000)
settings.load_profile("asyncsim")

# Otherwise the first tests would run plain kernels, and compile beside them
background_compilation.warm_up()

HERE = Path(__file__).parent
SLOW = (
    *("benchmarks", "browser", "docs", "fuzz", "notebooks"),
    *(f"fast/test_{name}.py" for name in ("ahead", "same_answer")),
    *(f"live/test_{name}.py" for name in ("crash", "failed_writes", "locks", "serving")),
    *(
        f"calibration/test_{name}.py"
        for name in (
            "arrival_rates",
            "batch",
            "check",
            "cleaning",
            "daily_rhythms",
            "distribution_fit",
        )
    ),
    *(f"capacity/test_{name}.py" for name in ("break_even", "cheapest", "sureness")),
)
"""Folders and modules in which most tests take seconds; elsewhere a test itself is marked slow."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what lies in a slow folder or module."""
    slow = {HERE / name for name in SLOW}
    for item in items:
        if not slow.isdisjoint([item.path, *item.path.parents]):
            item.add_marker(pytest.mark.slow)
