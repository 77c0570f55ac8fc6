"""The command line as a whole: what it knows, and what is said when something is wrong."""

from __future__ import annotations

import argparse
import codecs
import io
import os
import sys
import unicodedata
import warnings
from collections.abc import Sequence
from contextlib import suppress
from importlib.metadata import version

from asyncsim.cli.commands import (
    add_capacity,
    add_compare,
    add_examples,
    add_fit,
    add_run,
    add_verify,
    add_warm_up,
)
from asyncsim.cli.serve_command import add_serve
from asyncsim.errors import AsyncsimError, CensoredWarning

EPILOG = """\
a step waits for something outside: a nightly batch, a person, another system. It can poll (ask
every so often) or be called back, by its serial number such as 5_31. Begin with one of these:

  asyncsim compare example:nightly_ledger
      callback and polling side by side: how late, and at what cost
  asyncsim compare example:nightly_ledger --strategy callback --strategy "polling 5min"
      strategies of your choice; --save picture.png, --report study.html
  asyncsim capacity example:nightly_ledger --target "p95_latency <= 60s" --question workers
      how many workers that takes; --question volume: up to which volume it holds
  asyncsim fit example:request_log --out mine.toml
      a scenario made from a log, with what the log does not explain
  asyncsim serve example:workshop --hold all
      a live session: finish 1_31 yourself, with curl

asyncsim COMMAND --help tells what each takes. asyncsim examples DIR writes all examples, with the
notebooks of the course.
"""


QUOTES = '; put quotes around words that belong together, such as --strategy "polling 15min"'

LOOK_ALIKES = {
    **{"±": "+/-", "–": "-", "—": "-", "−": "-", "→": "->", "←": "<-", "×": "x", "·": "*"},
    **{"≤": "<=", "≥": ">=", "≈": "~", "∞": "inf", "√": "sqrt", "µ": "u", "μ": "u"},
    **{"‘": "'", "’": "'", "“": '"', "”": '"', "„": '"', "«": '"', "»": '"'},
    **{"█": "#", "▏": "|", "✓": "+", "✗": "x", "▶": ">", "€": "EUR", "£": "GBP", "ß": "ss"},
}
"""Characters of ASCII for what has none in its decomposition."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line; return 0 if all went well, 1 if a check failed, 2 for wrong input."""
    codecs.register_error("look-alike", _look_alike)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # not every terminal shows every character
            stream.reconfigure(errors="look-alike")
    try:
        try:
            return _run(sys.argv[1:] if argv is None else argv)
        finally:
            print(end="", flush=True)
    except KeyboardInterrupt:
        print("asyncsim: interrupted", file=sys.stderr)
        return 130
    except MemoryError:
        print("asyncsim: this takes more memory than there is", file=sys.stderr)
        return 2
    except OSError as error:
        if error.filename is None:  # of the output itself; what is left of it goes nowhere
            with suppress(OSError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not isinstance(error, BrokenPipeError):  # as `asyncsim … | head` makes it
            place = error.filename or "standard output"
            print(f"asyncsim: {place}: {error.strerror or error}", file=sys.stderr)
        return 2


def _look_alike(problem: UnicodeError) -> tuple[str, int]:
    """Return characters of ASCII in place of what a terminal cannot show, and where to go on."""
    if not isinstance(problem, UnicodeEncodeError):
        raise problem
    return "".join(map(_plain, problem.object[problem.start : problem.end])), problem.end


def _plain(character: str) -> str:
    if unicodedata.combining(character):
        return ""
    simple = unicodedata.normalize("NFKD", character).encode("ascii", "ignore").decode()
    rest = character.encode("ascii", "backslashreplace").decode()  # as names of files may have it
    return LOOK_ALIKES.get(character) or simple or rest


def _run(words: Sequence[str]) -> int:
    parser = _parser()
    if not words:
        parser.print_help()
        return 2
    arguments, left = parser.parse_known_args(words)
    if left:
        loose = any(not word.startswith("-") for word in left)
        parser.error(f"unrecognized arguments: {' '.join(left)}{QUOTES if loose else ''}")
    try:
        with warnings.catch_warnings(record=True) as noted:
            warnings.simplefilter("always", UserWarning)
            status: int = arguments.command(arguments)
    except AsyncsimError as error:
        print(f"asyncsim: {_as_typed(str(error), arguments)}", file=sys.stderr)
        return 2
    for note in noted:
        if not issubclass(note.category, CensoredWarning):  # the output has its sentence
            print(f"asyncsim: note: {note.message}", file=sys.stderr)
    return status


def _as_typed(message: str, arguments: argparse.Namespace) -> str:
    """Return a message with the name of an option in place of the argument's in Python.

    >>> _as_typed("n_jobs must be a whole number", argparse.Namespace(jobs=0))
    '--jobs must be a whole number'
    """
    name, must, rest = message.partition(" must ")
    name = name.removeprefix("n_")
    given = must and hasattr(arguments, name) and name not in ("scenario", "log")
    return f"--{name.replace('_', '-')}{must}{rest}" if given else message


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="asyncsim",
        description="Simulate how workflow steps wait for outside systems: callback or polling.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"asyncsim {version('asyncsim')}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    add_compare(commands)
    add_run(commands)
    add_capacity(commands)
    add_serve(commands)
    add_fit(commands)
    add_verify(commands)
    add_warm_up(commands)
    add_examples(commands)
    return parser
