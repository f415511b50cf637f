"""Shared by the fuzz targets: seeds, and the function that runs one.

To run a target by hand, for any time: `python tests/fuzz/message.py -runs=100000` (libFuzzer's options). The
input of a crash is written to a file in the current folder; pass that file as an argument to reproduce it.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import atheris

TORTURE = Path(__file__).parents[1] / "torture"
_HEADER_LINE = re.compile(r"[A-Za-z][A-Za-z-]*: [^\n]+").fullmatch
_START_LINE = re.compile(r"[A-Z]+ [^\n]+ SIP/[0-9.]+").fullmatch


def fuzz(one: Callable[[bytes], None], seeds: Iterable[bytes]) -> None:
    """Call `one` with mutations of the seeds until libFuzzer stops; ends the process."""
    with TemporaryDirectory() as folder:
        for number, seed in enumerate(seeds):
            Path(folder, f"{number:04d}").write_bytes(seed)
        files = [argument for argument in sys.argv[1:] if not argument.startswith("-")]
        atheris.Setup([*sys.argv, *([] if files else [folder])], one)
        atheris.Fuzz()


def torture_messages() -> Iterator[bytes]:
    """Each message of the torture tests, and a valid request with each single line found in them."""
    from tests.kit.deviations import DEVIATIONS
    from tests.torture.caller import SDP, request, wire

    for path in sorted(TORTURE.glob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Constant) or not isinstance(node.value, str):
                continue
            text = node.value
            if "SIP/2.0\n" in text:
                yield wire(text, SDP)
            elif _HEADER_LINE(text) or _START_LINE(text):
                yield wire(request("INVITE", text), SDP)
    good = wire(request("INVITE"), SDP).decode().replace("\r\n", "\n")
    for deviation in DEVIATIONS.values():
        yield deviation(good).replace("\n", "\r\n").encode("utf-8", "surrogateescape")
