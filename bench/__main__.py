"""``make bench``: measures Screendoor and its peers side by side, and prints a table of ratios."""

from __future__ import annotations

import argparse
import signal
import sys
import time
from pathlib import Path

from bench.book import Book
from bench.measures import MEASURES, Bench
from bench.page import write
from bench.profile import add_arguments, profile
from bench.table import table
from bench.trials import QUICK, WHOLE


def main() -> None:
    given = _arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that our programs are ended, too
    if given.profile is not None:
        profile(given)
        return
    began, book = time.monotonic(), Book()
    bench = Bench(book, QUICK if given.quick else WHOLE, quick=given.quick)
    for _ in range(given.repeat or (1 if given.quick else 3)):
        for name in given.only:
            MEASURES[name](bench)
    print(table(book))
    for remark in book.remarks:
        print(f"* {remark}")
    print(f"\n{(time.monotonic() - began) / 60:.1f} minutes", file=sys.stderr)
    if given.write:
        write(Path("docs/benchmarks.md"), book)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "--only", type=_names, default=list(MEASURES), metavar="A,B", help=f"some of: {', '.join(MEASURES)}"
    )
    parser.add_argument("--repeat", type=int, metavar="N", help="medians of so many (3; 1 if --quick)")
    parser.add_argument("--quick", action="store_true", help="shorter runs, fewer of them: within 10 minutes")
    parser.add_argument("--write", action="store_true", help="put the table into docs/benchmarks.md")
    add_arguments(parser)
    return parser.parse_args()


def _names(text: str) -> list[str]:
    names = text.split(",")
    if unknown := set(names) - set(MEASURES):
        raise argparse.ArgumentTypeError(f"unknown: {', '.join(sorted(unknown))}")
    return names


if __name__ == "__main__":
    main()
