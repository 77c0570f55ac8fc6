"""What a test reads off a picture, and what holds for every picture."""

from itertools import combinations

from matplotlib.text import Text

LEAST_POINTS = 10.0
ROUNDING = 1.0  # pixel


def texts(picture):
    """Return all texts that are shown, by axes and the figure itself."""
    picture.draw_without_rendering()
    return [
        one
        for one in picture.findobj(Text)
        if one.get_visible() and one.get_text().strip() and one.get_window_extent().width > 0
    ]


def words(text):
    """Return a text without its breaks."""
    return " ".join(text.split())


def labels(ax):
    """Return the texts within and beside axes, which name lines and points."""
    return [words(one.get_text()) for one in ax.texts if one.get_visible()]


def ticks(axis):
    """Return the texts of ticks."""
    return [one.get_text() for one in axis.get_ticklabels()]


def assert_readable(picture):
    """Type of 10 points or more, nothing cut or overlapping, no names of fields, a text."""
    shown = texts(picture)
    boxes = [one.get_window_extent().padded(-ROUNDING) for one in shown]
    inside = picture.bbox
    for one, box in zip(shown, boxes, strict=True):
        named = repr(one.get_text())
        assert one.get_fontsize() >= LEAST_POINTS, named
        assert box.x0 >= inside.x0, f"{named} is cut"
        assert box.y0 >= inside.y0, f"{named} is cut"
        assert box.x1 <= inside.x1, f"{named} is cut"
        assert box.y1 <= inside.y1, f"{named} is cut"
    for (one, a), (other, b) in combinations(zip(shown, boxes, strict=True), 2):
        assert not a.overlaps(b), f"{one.get_text()!r} is on {other.get_text()!r}"
    for ax in picture.axes:
        for label in (ax.get_xlabel(), ax.get_ylabel()):
            assert "_" not in label
            assert "[s]" not in label
    assert picture.alt
    assert picture.alt[-1] == "."
