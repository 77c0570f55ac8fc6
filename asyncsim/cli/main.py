"""Entry point of the command line: parser, messages, and exit status."""

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
from itertools import pairwise

from asyncsim.cli.commands import COMMANDS
from asyncsim.cli.document import Document
from asyncsim.errors import AsyncsimError, CensoredWarning
from asyncsim.model.schema import file_keys
from asyncsim.model.units import nearest

EPILOG = """\
A workflow step waits for outside work: a nightly batch, a person, another system. It notices
completion by polling, or by a callback with its serial number, such as 5_31. Start with:

  asyncsim compare example:nightly_ledger
      latency and overhead of callback and polling, side by side
  asyncsim compare example:nightly_ledger --strategy callback --strategy "polling 5min"
      strategies of your choice; --save picture.png, --report study.html
  asyncsim capacity example:nightly_ledger --target "p95_latency <= 60s" --question workers
      the workers this needs; --question volume: the largest volume that meets the target
  asyncsim fit example:request_log --out mine.toml
      a scenario fitted to a log, with the parts of the log that it does not explain
  asyncsim serve example:workshop --hold all
      a live session: finish 1_31 yourself with curl

asyncsim COMMAND --help shows the options of a command. asyncsim examples DIR writes all examples,
with the notebooks of the course.
"""
QUOTES = '; put quotes around a strategy, such as --strategy "polling 15min"'
VARY = "; write a field and its values in one word, such as --vary server.workers=2,4,8"
COMMAND = {command.name: command for command in COMMANDS}
LOOK_ALIKES = {
    **{"±": "+/-", "–": "-", "—": "-", "−": "-", "→": "->", "←": "<-", "×": "x", "·": "*"},
    **{"≤": "<=", "≥": ">=", "≈": "~", "∞": "inf", "√": "sqrt", "µ": "u", "μ": "u"},
    **{"‘": "'", "’": "'", "“": '"', "”": '"', "„": '"', "«": '"', "»": '"'},
    **{"█": "#", "▏": "|", "✓": "+", "✗": "x", "▶": ">", "€": "EUR", "£": "GBP", "ß": "ss"},
}  # in ASCII, of characters whose decomposition has none


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line; return 0 for success, 1 for a failed check, 2 for invalid input."""
    codecs.register_error("look-alike", _look_alike)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal may lack characters
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
        print("asyncsim: not enough memory", file=sys.stderr)
        return 2
    except OSError as error:
        if error.filename is None:  # standard output failed: discard the rest of it
            with suppress(OSError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not isinstance(error, BrokenPipeError):  # as in `asyncsim … | head`
            place = error.filename or "standard output"
            print(f"asyncsim: {place}: {error.strerror or error}", file=sys.stderr)
        return 2


def _look_alike(problem: UnicodeError) -> tuple[str, int]:
    """Return ASCII for characters that a terminal lacks, and where to continue."""
    if not isinstance(problem, UnicodeEncodeError):
        raise problem
    found = ""
    for character in problem.object[problem.start : problem.end]:
        simple = unicodedata.normalize("NFKD", character).encode("ascii", "ignore").decode()
        rest = character.encode("ascii", "backslashreplace").decode()  # bytes in a file's name
        if not unicodedata.combining(character):
            found += LOOK_ALIKES.get(character) or simple or rest
    return found, problem.end


def _run(words: Sequence[str]) -> int:
    parser = _parser()
    if not words:
        parser.print_help()
        return 2
    if words[0] not in COMMAND and words[0][0] != "-":
        parser.error(f"there is no command {words[0]!r}{_meant_command(words[0])}")
    arguments, left = parser.parse_known_args(words)
    if left:
        parser.error(_left_over(arguments.name, words, left))
    document = arguments.document = Document(arguments.name, getattr(arguments, "json", False))
    try:
        with warnings.catch_warnings(record=True) as noted:
            warnings.simplefilter("always", UserWarning)
            status: int = arguments.command(arguments)
    except AsyncsimError as error:
        print(f"asyncsim: {_as_typed(str(error), arguments)}", file=sys.stderr)
        return 2
    # The output reports open waits itself
    notes = [str(one.message) for one in noted if not issubclass(one.category, CensoredWarning)]
    document.close(notes)
    for note in () if document.as_json else notes:
        print(f"asyncsim: note: {note}", file=sys.stderr)
    return status


def _meant_command(word: str) -> str:
    """Return the hint for a first word that is no command.

    >>> _meant_command("compar"), _meant_command("mine.toml")
    ("; did you mean 'compare'?", "; did you mean 'compare mine.toml'?")
    """
    if word.endswith(".toml") or word.startswith("example:"):
        return f"; did you mean 'compare {word}'?"
    if word in ("help", "version"):
        return f"; did you mean '--{word}'?"
    for name, one in COMMAND.items():
        if word.lower() in one.summary.lower().split():
            return f"; did you mean {name!r} ({one.summary})?"
    return nearest(word, COMMAND) or f": it must be one of {', '.join(COMMAND)}"


def _left_over(name: str, words: Sequence[str], left: Sequence[str]) -> str:
    """Return what is wrong with words that a command does not take."""
    option = next((word.partition("=")[0] for word in left if word.startswith("-")), None)
    if option is None:
        hint = QUOTES if {"--strategy", "--check"} & set(words) else ""
        if any(one == "--vary" and "=" not in value for one, value in pairwise(words)):
            hint = VARY
        return f"unrecognized arguments: {' '.join(left)}{hint}"
    known, key = COMMAND[name].options, option.strip("-").replace("-", "_")
    others = [one.name for one in COMMANDS if option in one.options]
    has = "have" if others[1:] else "has"
    hint = f"; {', '.join(others)} {has} it" if others else nearest(option, known)
    hint = hint or f" (it has {', '.join(known)})"
    if key in file_keys():
        hint += f"; {key} is a key of the scenario file, and sweep --vary varies it"
    return f"{name} has no option {option}{hint}"


def _as_typed(message: str, arguments: argparse.Namespace) -> str:
    """Return a message with the name of the option instead of the Python argument.

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
    commands = parser.add_subparsers(
        title="commands", required=True, metavar="COMMAND", dest="name"
    )
    for command in COMMANDS:
        command.add_to(commands)
    return parser
