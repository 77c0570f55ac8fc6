"""No rounding can upset a grid."""

import math

from hypothesis import assume, example, given
from hypothesis import strategies as st

from asyncsim.model.specifications import grid_index


class Counted(float):
    """An interval that counts how often a grid point is worked out."""

    looked_at = 0

    def __rmul__(self, k):
        Counted.looked_at += 1
        return k * float(self)


anchors = st.floats(-1e6, 1e8) | st.integers(0, 10**6).map(float)
intervals = st.floats(1e-3, 1e6) | st.integers(1, 3600).map(float) | st.sampled_from([0.1, 0.3])


@example(0.0, 0.1, 0.3)  # 3 * 0.1 is later than 0.3
@example(0.0, 1e-3, 1e9)
@example(1e8, 0.1, 0.0)
@given(anchors, intervals, st.floats(-1e6, 1e9))
def test_the_next_grid_point_is_the_first_one_later(anchor, interval, after):
    """k >= 1 is the smallest index whose grid point is later, found in a few comparisons."""
    Counted.looked_at = 0
    k = grid_index(anchor, Counted(interval), after)
    assert Counted.looked_at <= 8
    assert k >= 1
    assert anchor + k * interval > after
    assert k == 1 or anchor + (k - 1) * interval <= after


@given(anchors, intervals, st.integers(1, 10**6))
def test_a_clock_on_a_grid_point_goes_on_to_the_next(anchor, interval, k):
    """At grid point k the next one is k + 1; just before it, it is k; no point is seen twice."""
    point = anchor + k * interval
    assume(anchor + (k - 1) * interval < point < anchor + (k + 1) * interval)
    assert grid_index(anchor, interval, point) == k + 1
    assert grid_index(anchor, interval, math.nextafter(point, -math.inf)) == k


@given(anchors, st.integers(1, 3600).map(float), st.integers(1, 300))
def test_walking_the_grid_visits_every_point_once(anchor, interval, n):
    """From each point to the next: k = 1, 2, … without a gap or a repetition."""
    visited, at = [], anchor
    for _ in range(n):
        k = grid_index(anchor, interval, at)
        visited.append(k)
        at = anchor + k * interval
    assert visited == list(range(1, n + 1))
