"""Write the golden files; ``python tests/golden/make.py``, or ``make.py words`` for sentences only.

Golden files pin what users can observe, number by number, so that a redesign can prove that it
changed nothing:

``runs.json.gz``
    750 runs of small scenarios under every built-in strategy, in weighted sums and hashes of their
    tables (`golden_runs`). Both engines must agree with the same values.
``texts/NAME.txt``
    What users read: transcripts of commands with exit codes, answers of capacity, accounts of fits,
    a report, the REST interface (`golden_texts`). Sentences may be improved: then these change.
``texts/NAME.numbers``
    The numbers in each text, in order, one a line. A better sentence leaves them as they are.
``versions.json``
    The libraries under which the texts were written. Under other versions texts are not compared,
    for libraries word and lay out some of them; runs always are.

They are not a proof that a result is right (the other tests are), only that it is the same. So:

* After better sentences: ``make.py words`` writes the texts alone; read the diff. If a sentence
  gains, loses or moves a number, write that text's numbers again (``make.py all``) in a commit of
  its own that says why.
* After new versions of libraries: ``make.py all`` from a commit that passed with the old ones.
* ``make.py all`` after any other change only if results are meant to change: the commit names
  which, and why. Never to make a failing test pass.
"""

from __future__ import annotations

import argparse
import json

from golden_runs import write_runs
from golden_texts import TEXTS, VERSIONS, numbers_of, texts, versions


def write_texts(numbers: bool) -> None:
    """Write the texts, and their numbers if wanted."""
    TEXTS.mkdir(exist_ok=True)
    for name, text in texts().items():
        (TEXTS / f"{name}.txt").write_text(text, encoding="utf-8", newline="\n")
        if numbers:
            lines = "".join(f"{number!r}\n".replace(".0\n", "\n") for number in numbers_of(text))
            (TEXTS / f"{name}.numbers").write_text(lines, encoding="utf-8", newline="\n")
    if numbers:
        VERSIONS.write_text(json.dumps(versions(), indent=1) + "\n", encoding="utf-8")


def main() -> None:
    """Write all golden files, or those of words."""
    parser = argparse.ArgumentParser(description="Write the golden files.")
    parser.add_argument("what", nargs="?", choices=("all", "words"), default="all")
    everything = parser.parse_args().what == "all"
    write_texts(numbers=everything)
    if everything:
        write_runs()


if __name__ == "__main__":
    main()
