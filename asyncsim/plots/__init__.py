"""Tables in, pictures out. Knows no other room, so every room may use it."""

from asyncsim.plots.answers import frontier, herd_drained, mark_answer, near, spread_out
from asyncsim.plots.calibration import (
    arrival_rates,
    completions_by_clock,
    figures_checked,
    quantiles_against,
    times_and_law,
)
from asyncsim.plots.figures import latency_distribution, load_around_batch, overhead_against_latency
from asyncsim.plots.output import cumulative_mean, warm_up
from asyncsim.plots.style import figure, grid, heading, percent, shared_legend, with_unresumed
from asyncsim.plots.sweeps import figure_over_field, figure_over_two_fields
from asyncsim.plots.timeline import timeline

__all__ = [
    "arrival_rates",
    "completions_by_clock",
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
