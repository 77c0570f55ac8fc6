"""Tables that are handed out belong to the caller."""

import pandas as pd


def assert_handed_out(owner, name):
    """Damage what an attribute hands out; the next one must be as the first one was."""
    first = getattr(owner, name)
    before = first.copy()
    if isinstance(first, pd.DataFrame):
        first["one more"] = 1
        del first[first.columns[0]]
        pd.testing.assert_frame_equal(getattr(owner, name), before)
    else:
        first[:] = -1
        assert (getattr(owner, name) == before).all()
