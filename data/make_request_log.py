"""Make request_log.csv: what the table of an external system would hold after a working week.

It knows nothing of asyncsim, as the real table would not. Requests come in on working days from
08:00 to 20:00, fewer over lunch; a nightly batch works them off one by one from 22:00, and on one
night it breaks down half-way, so that the rest waits for the next one. A dozen rows are dirty in
the ways such exports are. All figures are invented.

The same file comes out on every machine: only uniform random numbers are drawn (the part of NumPy
least likely to change between versions), and times are written in milliseconds.

    python data/make_request_log.py [output.csv]
"""

import sys
from datetime import datetime, timedelta
from pathlib import Path
from statistics import NormalDist

import numpy as np

SEED = 20260302
MONDAY = datetime(2026, 3, 2)
DAYS = 5
REQUESTS_PER_HOUR = [40, 75, 95, 90, 45, 60, 85, 90, 80, 60, 40, 20]  # from 08:00 on
BATCH_STARTS = timedelta(hours=22)
ITEM_MEDIAN, ITEM_SIGMA = 1.0, 0.6  # of a lognormal law, in seconds
BROKEN_NIGHT = 2  # Wednesday's batch stops ...
BROKEN_AFTER = 0.45  # ... after this share of its items
STEP = 31  # the activation of the step that waits

Row = tuple[str, str, str]


def submissions(rng: np.random.Generator) -> list[datetime]:
    """Return when requests were handed over: a Poisson process, hour by hour."""
    found = []
    for day in range(DAYS):
        for hour, rate in enumerate(REQUESTS_PER_HOUR, start=8):
            at = 0.0
            while (at := at - np.log1p(-rng.random()) / rate) < 1.0:
                found.append(MONDAY + timedelta(days=day, hours=hour + at))
    return found


def completions(rng: np.random.Generator, submitted: list[datetime]) -> list[datetime]:
    """Return when the batch had done each of them, first come first served."""
    normal, done = NormalDist(), []
    for night in range(DAYS):
        start = MONDAY + timedelta(days=night) + BATCH_STARTS
        clock = start + timedelta(seconds=5 + 20 * rng.random())  # the scheduler takes its time
        waiting = sum(at <= start for at in submitted) - len(done)
        if night == BROKEN_NIGHT:
            waiting = int(BROKEN_AFTER * waiting)
        for _ in range(waiting):
            sigmas = normal.inv_cdf(max(rng.random(), 1e-12))
            clock += timedelta(seconds=ITEM_MEDIAN * np.exp(ITEM_SIGMA * sigmas))
            done.append(clock)
    return done


def serial_numbers(rng: np.random.Generator, n: int) -> list[str]:
    """Return numbers in order, with gaps where instances of other workflows were started."""
    instance, found = 5, []
    for _ in range(n):
        found.append(f"{instance}_{STEP}")
        instance += 1 + int(rng.random() < 0.3) + int(rng.random() < 0.1)
    return found


def text(moment: datetime) -> str:
    """Write a moment as the database exports it."""
    return moment.isoformat(sep=" ", timespec="milliseconds")


def spoil(rng: np.random.Generator, rows: list[Row]) -> list[Row]:
    """Make a dozen rows dirty."""
    spoiled = list(rows)
    spread = np.linspace(0.05, 0.95, 9) + 0.05 * rng.random(9)  # so that no row is hit twice
    places = [int(share * len(rows)) for share in spread]
    for k, place in enumerate(places):
        sn, submitted, completed = rows[place]
        spoiled[place] = [
            (sn, submitted, ""),  # never completed
            (sn, submitted, "NULL"),  # the same, as another tool exports it
            (sn, completed, submitted),  # completed before submitted: two clocks, or two columns
            ("", submitted, completed),  # no serial number
            (sn, submitted[:10] + " 25:61:00.000", completed),  # no such time
            (sn, submitted, ""),
            (sn, f"{submitted[8:10]}/{submitted[5:7]}/{submitted[:4]} 09:30", completed),  # no ISO
            (sn, completed, submitted),
            ("   ", submitted, completed),
        ][k]
    for place in (2500, 1200, 400):  # from the end, so that the places stay right
        sn, submitted, completed = rows[place]
        again = text(datetime.fromisoformat(submitted) + timedelta(seconds=30))
        spoiled.insert(place + 1, (sn, again, completed))  # the same request, sent twice
    return spoiled


def make_log() -> str:
    """Return the whole file as text."""
    rng = np.random.default_rng(SEED)
    submitted = submissions(rng)
    completed = completions(rng, submitted)
    numbers = serial_numbers(rng, len(submitted))
    rows = [
        (sn, text(first), text(last))
        for sn, first, last in zip(numbers, submitted, completed, strict=True)
    ]
    lines = ["SN,submitted,completed", *(",".join(row) for row in spoil(rng, rows))]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    beside = Path(__file__).with_name("request_log.csv")
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else beside
    target.write_text(make_log(), encoding="utf-8", newline="\n")
