"""What noticing costs: prices, as part of a scenario.

The model only knows prices; what a run comes to is reckoned from its record
(`asyncsim.engine.metrics`), so any strategy and any system can be priced.
"""

from __future__ import annotations

import pandas as pd
from attrs import field, frozen

from asyncsim.model.units import (
    any_text,
    count,
    duration,
    from_zero,
    not_negative,
    one_of,
    text,
)
from asyncsim.model.validation import choice, name_errors

WORKER_TIME = ("overhead", "busy", "provided")


DEAREST = 1e12


def price(value: float) -> float:
    """Return a price, zero or more."""
    return not_negative(value, DEAREST)


def transitions(value: int) -> int:
    """Return a number of state transitions."""
    return 0 if from_zero(value) == 0 else count(value)


def worker_time(value: str) -> str:
    """Return which worker time is paid for, checked."""
    return one_of(value, WORKER_TIME)


@frozen(field_transformer=name_errors)
class CostModel:
    """Prices of what waiting and noticing take; what is left out costs nothing.

    Parameters
    ----------
    check
        Price of one check, whatever it finds.
    request
        Price of one request to notice completion: a check, or a delivery of a callback.
    transition
        Price of one state transition, as engines bill that sell steps.
    transitions_per_check, transitions_per_call
        How many transitions a check and the call of an asynchronous step are. The loop *wait, ask,
        decide* is three; a step that is called back is one. [D: derived from how such a loop is
        drawn]
    worker_hour
        Price of an hour of a worker.
    worker_time
        Which hours those are: ``"overhead"`` (spent on checks and callbacks), ``"busy"`` (all
        work), or ``"provided"`` (all workers for the scenario's length, busy or idle).
    late_minute
        Price of each minute by which a resumption is later than `service_level` after completion.
        Waits that time out are late until then. Those still open when the run stops are late until
        it stopped, which understates them: give such steps a time-out. (The questions of capacity
        take them as infinitely dear.)
    service_level
        Resume latency that costs nothing yet.
    currency
        Of all prices.
    source
        Where they come from, with the date.

    Examples
    --------
    >>> prices = CostModel(check=0.001, late_minute=2.0, service_level="5min", currency="EUR")
    >>> prices.service_level
    300.0
    """

    check: float = field(default=0.0, converter=price)
    request: float = field(default=0.0, converter=price)
    transition: float = field(default=0.0, converter=price)
    transitions_per_check: int = field(default=3, converter=transitions)
    transitions_per_call: int = field(default=1, converter=transitions)
    worker_hour: float = field(default=0.0, converter=price)
    worker_time: str = field(default="overhead", converter=worker_time)
    late_minute: float = field(default=0.0, converter=price)
    service_level: float = field(default=0.0, converter=duration)
    currency: str = field(default="USD", converter=text)
    source: str = field(default="", converter=any_text)

    @classmethod
    def preset(cls, name: str) -> CostModel:
        """Return published prices by name; `asyncsim.cost_presets` shows all of them.

        Parameters
        ----------
        name
            Such as ``"aws step functions"``.
        """
        return PRESETS[choice("CostModel.preset", name, PRESETS)]


PRESETS = {
    "aws step functions": CostModel(
        transition=0.025 / 1000,
        currency="USD",
        source="AWS Step Functions, standard workflows: $0.025 per 1,000 state transitions "
        "(text of 2023; prices differ by region and change) [V]; three transitions a check and "
        "one a callback [D]",
    ),
}
"""Published prices. [V] read in a public source, [D] derived."""


def cost_presets() -> pd.DataFrame:
    """Return the published prices there are, with source and date.

    Vendors that publish no price per use, K2 among them, are not in it: give a `CostModel` of your
    own.

    Returns
    -------
    pandas.DataFrame
        Index ``name``; ``transition, transitions_per_check, transitions_per_call, currency,
        source``.

    Examples
    --------
    >>> float(cost_presets().loc["aws step functions", "transition"])
    2.5e-05
    """
    columns = ["transition", "transitions_per_check", "transitions_per_call", "currency", "source"]
    rows = [[getattr(prices, column) for column in columns] for prices in PRESETS.values()]
    return pd.DataFrame(rows, columns=columns, index=pd.Index(PRESETS, name="name"))
