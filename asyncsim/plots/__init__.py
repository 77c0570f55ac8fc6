"""Tables in, pictures out. Knows no other room, so every room may use it.

Matplotlib is imported with the first picture, not with asyncsim: it takes a third of that time.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from asyncsim.plots.comparisons import (
        latency_distribution,
        load_around_batch,
        overhead_against_latency,
    )
    from asyncsim.plots.convergence import cumulative_mean, warm_up
    from asyncsim.plots.decisions import frontier, herd_drained, mark_answer, near, spread_out
    from asyncsim.plots.fits import (
        arrival_rates,
        completions_by_clock,
        figures_checked,
        quantiles_against,
        times_and_law,
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
    from asyncsim.plots.sweeps import figure_over_field, figure_over_two_fields
    from asyncsim.plots.timelines import timeline

__all__ = [
    "arrival_rates",
    "completions_by_clock",
    "counted",
    "cumulative_mean",
    "figure",
    "figure_over_field",
    "figure_over_two_fields",
    "figures_checked",
    "frontier",
    "grid",
    "heading",
    "herd_drained",
    "latency_distribution",
    "load_around_batch",
    "mark_answer",
    "near",
    "overhead_against_latency",
    "percent",
    "quantiles_against",
    "shared_legend",
    "spread_out",
    "timeline",
    "times_and_law",
    "warm_up",
    "with_unresumed",
]

MODULES = ("decisions", "fits", "comparisons", "convergence", "style", "sweeps", "timelines")


def __getattr__(name: str) -> Any:
    """Return a function of one of the modules, imported now."""
    if name in __all__:
        for module in MODULES:
            found = vars(import_module(f"asyncsim.plots.{module}"))
            if name in found:
                return found[name]
    raise AttributeError(f"module 'asyncsim.plots' has no attribute {name!r}")
