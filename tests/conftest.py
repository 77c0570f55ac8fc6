"""Settings for all tests: random cases, slow tests, and tests that share something expensive.

``-m "not slow"`` selects the quick tests: no browser, no notebook, no site, no long fuzz.
``ASYNCSIM_THOROUGH=5`` tries five times as many random cases (``tests/thorough.py``).
"""

from pathlib import Path

import pytest
from hypothesis import settings
from thorough import times

from asyncsim.fast import background_compilation

# A slow machine is not an error: the first call of a function may import half of SciPy
settings.register_profile("asyncsim", deadline=None, max_examples=times(40))
settings.load_profile("asyncsim")

# Otherwise the first tests would run plain kernels, and compile beside them
background_compilation.warm_up()

HERE = Path(__file__).parent
QUICK = "not slow"
SLOW = ("benchmarks", "browser", "docs", "fuzz", "notebooks")
"""Folders of tests that take seconds; elsewhere a module or a test itself is marked slow."""
SHARED = ("/browser/", "/docs/", "/test_wheel.py", "/test_answers.py", "/test_verify.py")
"""Folders and modules whose tests share a JupyterLab, a site, a wheel or runs: one worker each."""


def is_slow(path: Path) -> bool:
    """Return whether a file lies in a slow folder."""
    return any(path.is_relative_to(HERE / name) for name in SLOW)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Import no slow folder if only quick tests run."""
    return True if config.option.markexpr == QUICK and is_slow(collection_path) else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what lies in a slow folder."""
    for item in items:
        if is_slow(item.path):
            item.add_marker(pytest.mark.slow)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object:
    """Send tests that share something expensive to one worker, and all others to either.

    The marker ``xdist_group`` would do the same, but has no effect with pytest 9.2.
    """
    from xdist.scheduler import LoadScopeScheduling

    class Sharing(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            path, _, _ = nodeid.partition("::")
            return next((name for name in SHARED if name in path), nodeid)

    return Sharing(config, log)
