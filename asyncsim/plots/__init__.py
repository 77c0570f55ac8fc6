"""Tables in, pictures out; of the other rooms it knows only the words of the model.

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
    from asyncsim.plots.scales import *  # noqa: F403
    from asyncsim.plots.style import *  # noqa: F403
    from asyncsim.plots.timelines import *  # noqa: F403

MODULES = {
    "comparisons": ("Compared", "comparison", "frontier", "herd_drained"),
    "fields": ("Panel", "Question", "answer", "cumulative_means", "metric_over_fields",
               "metric_over_two_fields", "near", "warm_up"),
    "fits": ("SystemFitted", "fitted", "metrics_checked"),
    "scales": ("Scale",),
    "style": ("Picture",),
    "timelines": ("timeline",),
}  # fmt: skip
__all__ = [*chain.from_iterable(MODULES.values())]


def __getattr__(name: str) -> Any:
    """Return a function, and import its module."""
    for module, names in MODULES.items():
        if name in names:
            return getattr(import_module(f"asyncsim.plots.{module}"), name)
    raise AttributeError(f"module 'asyncsim.plots' has no attribute {name!r}")
