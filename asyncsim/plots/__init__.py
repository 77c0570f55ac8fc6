"""Tables in, figures out; every other room may use this one.

Matplotlib is imported with the first figure, because it takes a third of the time of asyncsim's
import.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from asyncsim.plots.comparisons import (
        frontier,
        herd_drained,
        latency_distribution,
        load_around_batch,
        overhead_against_latency,
    )
    from asyncsim.plots.convergence import cumulative_mean, warm_up
    from asyncsim.plots.fields import (
        mark_answer,
        metric_over_field,
        metric_over_two_fields,
        near,
        spread_out,
    )
    from asyncsim.plots.fits import (
        arrival_rates,
        completions_by_clock,
        metrics_checked,
        quantiles_against,
        times_and_distribution,
    )
    from asyncsim.plots.style import (
        counted,
        figure,
        grid,
        heading,
        percent,
        shared_legend,
        with_unresumed,
    )
    from asyncsim.plots.timelines import timeline

__all__ = [
    "arrival_rates",
    "completions_by_clock",
    "counted",
    "cumulative_mean",
    "figure",
    "frontier",
    "grid",
    "heading",
    "herd_drained",
    "latency_distribution",
    "load_around_batch",
    "mark_answer",
    "metric_over_field",
    "metric_over_two_fields",
    "metrics_checked",
    "near",
    "overhead_against_latency",
    "percent",
    "quantiles_against",
    "shared_legend",
    "spread_out",
    "timeline",
    "times_and_distribution",
    "warm_up",
    "with_unresumed",
]

MODULES = ("comparisons", "convergence", "fields", "fits", "style", "timelines")


def __getattr__(name: str) -> Any:
    """Return a function, and import its module."""
    if name in __all__:
        for module in MODULES:
            found = vars(import_module(f"asyncsim.plots.{module}"))
            if name in found:
                return found[name]
    raise AttributeError(f"module 'asyncsim.plots' has no attribute {name!r}")
