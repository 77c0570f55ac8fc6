"""Progress bars, also where no thread can be started."""

from __future__ import annotations

from typing import Any

from tqdm.auto import tqdm

from asyncsim.engine.compiled import ahead
from asyncsim.study.processes import threads_start

IN_NOTEBOOK = any(one.__name__ == "tqdm_notebook" for one in tqdm.__mro__)


class _Bar(tqdm):  # type: ignore[type-arg]
    """A bar that also shows that kernels are being compiled, and leaves nothing in a notebook."""

    container: Any  # of a bar in a notebook
    displayed: bool

    def __init__(self, **options: Any) -> None:
        if IN_NOTEBOOK:
            options["display"] = False
        super().__init__(**options)
        self._place: Any = None
        if IN_NOTEBOOK and not self.disable:
            from IPython.display import display

            self._place = display(self.container, display_id=True)  # type: ignore[no-untyped-call]
            self.displayed = True
        ahead.shown.add(self)

    def update(self, n: float | None = 1) -> bool | None:
        """Count, and renew the note."""
        self.set_postfix_str(ahead.note(), refresh=False)
        moved: bool | None = super().update(n)
        return moved

    def close(self) -> None:
        """Take the bar away, also where not everything was done; else a file would keep it."""
        place = None if self.disable else self._place
        super().close()
        if place is not None:
            self.container.close()
            place.update({}, raw=True)


def progress_bar(shown: bool, **options: Any) -> Any:
    """Return tqdm's bar for this place, a notebook or a terminal, which goes when it is done.

    It has a thread look after bars that stand still. Without threads, as in a browser, it would
    say so in red each time; a bar is as good without.
    """
    if shown and not threads_start():
        tqdm.monitor_interval = 0
    return _Bar(disable=not shown, leave=False, **options)
