"""Fuzz target for StreamFramer: the same messages or ParseError, however the stream is split."""

import sys
from itertools import pairwise
from pathlib import Path

import atheris

sys.path.insert(0, str(Path(__file__).parents[2]))

with atheris.instrument_imports(include=["proxy.sip"]):
    from proxy.sip.errors import ParseError
    from proxy.sip.framing import StreamFramer

from tests.fuzz.target import fuzz, torture_messages

MAX = 4096


def framed(pieces: list[bytes]) -> tuple[list[bytes], str | None, int]:
    framer = StreamFramer(MAX)
    messages: list[bytes] = []
    for piece in pieces:
        try:
            messages += framer.feed(piece)
        except ParseError:
            break
    return messages, None if framer.fault is None else str(framer.fault), framer.take_pings()


def one(data: bytes) -> None:
    size, stream = (data[0] or 1, data[1:]) if data else (1, b"")
    whole = framed([stream])
    pieces = framed([stream[start : start + size] for start in range(0, len(stream), size)])
    assert whole[0] == pieces[0], (whole, pieces)
    if whole[1] is None or "longer" not in whole[1]:  # detected as soon as too much has come
        assert whole[1] == pieces[1], (whole, pieces)


if __name__ == "__main__":
    messages = list(torture_messages())
    pairs = [first + b"\r\n\r\n" + second for first, second in pairwise(messages)]
    fuzz(one, [bytes([number % 256]) + data for number, data in enumerate([*messages, *pairs])])
