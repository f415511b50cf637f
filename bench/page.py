"""Writes docs/benchmarks.md: the table of a run, with date and circumstances."""

from __future__ import annotations

import os
import platform
import re
from datetime import date
from pathlib import Path

from bench.book import Book
from bench.systems import MINIMAL, SYSTEMS, missing
from bench.table import table

TABLE = re.compile(r"(<!-- measured -->\n).*?(<!-- end -->)", re.DOTALL)


def write(page: Path, book: Book) -> None:
    """Replace the text between the page's markers."""
    measured = f"{circumstances()}\n\n{table(book)}\n"
    if book.remarks:
        measured += "\n" + "".join(f"* {remark}\n" for remark in book.remarks)
    text = page.read_text(encoding="utf-8")
    found, count = TABLE.subn(lambda marks: marks[1] + measured + marks[2], text)
    assert count == 1, f"{page} does not have exactly one pair of marks"
    page.write_text(found, encoding="utf-8")


def circumstances() -> str:
    """Date, machine and versions, in one paragraph."""
    versions = {
        system.label.partition(" ")[0]: system.version()
        for name, system in SYSTEMS.items()
        if name != MINIMAL and missing(name) is None
    }
    listed = ", ".join(f"{name} {version}" for name, version in versions.items())
    machine = f"{os.cpu_count()} CPUs ({_processor()}), Linux {platform.release()}"
    return f"{date.today():%d %B %Y}; {machine}, Python {platform.python_version()}; {listed}."


def _processor() -> str:
    found = re.search(
        r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(encoding="ascii"), re.MULTILINE
    )
    return found[1] if found else platform.machine()
