"""How many random cases the tests try: ``ASYNCSIM_THOROUGH=5`` tries five times as many."""

import os

TIMES = float(os.environ.get("ASYNCSIM_THOROUGH", "1"))


def times(number: int) -> int:
    """Return the usual number of cases, multiplied by ``ASYNCSIM_THOROUGH``."""
    return max(int(number * TIMES), 1)
