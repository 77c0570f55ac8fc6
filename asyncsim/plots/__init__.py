"""Tables in, pictures out; every other room may use this one.

Matplotlib is imported with the first picture, because it takes a third of the time of asyncsim's
import.
"""

from importlib import import_module
from itertools import chain
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from asyncsim.plots.comparisons import *  # noqa: F403
    from asyncsim.plots.fields import *  # noqa: F403
    from asyncsim.plots.fits import *  # noqa: F403
    from asyncsim.plots.style import *  # noqa: F403
    from asyncsim.plots.timelines import *  # noqa: F403

MODULES = {
    "comparisons": ("frontier", "herd_drained", "latency_distribution", "load_around_batch",
                    "overhead_against_latency"),
    "fields": ("cumulative_mean", "mark_answer", "metric_over_field", "metric_over_two_fields",
               "near", "spread_out", "warm_up"),
    "fits": ("arrival_rates", "completions_by_clock", "metrics_checked", "quantiles_against",
             "times_and_distribution"),
    "style": ("counted", "figure", "grid", "heading", "percent", "shared_legend",
              "with_unresumed"),
    "timelines": ("timeline",),
}  # fmt: skip
SIZES = ("page", "slide")
__all__ = ["SIZES", *chain.from_iterable(MODULES.values())]


def __getattr__(name: str) -> Any:
    """Return a function, and import its module."""
    for module, names in MODULES.items():
        if name in names:
            return getattr(import_module(f"asyncsim.plots.{module}"), name)
    raise AttributeError(f"module 'asyncsim.plots' has no attribute {name!r}")
