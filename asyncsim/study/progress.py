"""Progress bars, also where no thread can be started."""

from __future__ import annotations

from typing import Any

from tqdm.auto import tqdm

from asyncsim.study.processes import threads_start


def progress_bar(shown: bool, **options: Any) -> Any:
    """Return tqdm's bar for this place, a notebook or a terminal, which goes when it is done.

    It has a thread look after bars that stand still. Without threads, as in a browser, it would
    say so in red each time; a bar is as good without.
    """
    if shown and not threads_start():
        tqdm.monitor_interval = 0
    return tqdm(disable=not shown, leave=False, **options)
