"""The commonest path is the process; other paths are counted, not pretended away."""

import pandas as pd

from asyncsim.calibration.cases import paths_of


def steps_of(*paths, unfinished=()):
    """Return a table of steps of cases that go these paths, a second each."""
    rows = [
        {
            "case": str(case),
            "step": step,
            "queued": float(k),
            "started": float(k),
            "armed": None,
            "completed": None,
            "resumed": None,
            "ended": None if case in unfinished and k == len(path) - 1 else k + 1.0,
            "place": k,
        }
        for case, path in enumerate(paths)
        for k, step in enumerate(path)
    ]
    return pd.DataFrame(rows).astype({"armed": float, "completed": float, "resumed": float})


def test_others_are_counted_and_named():
    """A loop, another order, a step left out, one more, and something else."""
    paths = paths_of(steps_of(*["abc"] * 5, "abbc", "acb", "ac", "abxc", "xy"))
    assert paths.main == ("a", "b", "c")
    assert (paths.on_it, paths.open, paths.unexplained, paths.cases) == (5, 0, 5, 10)
    assert [paths.difference(path) for path, _ in paths.others] == [
        "a step comes again",
        "another order",
        "steps left out",
        "more steps",
        "other steps",
    ]


def test_cases_still_on_their_way_are_not_another_path():
    """Most cases wait in b when the log ends: they have gone part of the path."""
    paths = paths_of(steps_of("abc", "abc", *["ab"] * 5, "ba", unfinished=(2, 3, 4, 5, 6)))
    assert paths.main == ("a", "b", "c")
    assert (paths.on_it, paths.open, paths.unexplained) == (2, 5, 1)
