"""Fuzz target for header values and URIs: a value that round-trips, or ParseError."""

import sys
from pathlib import Path

import atheris

sys.path.insert(0, str(Path(__file__).parents[2]))

with atheris.instrument_imports(include=["proxy.sip"]):
    from proxy.sip.errors import ParseError
    from proxy.sip.grammar import split_commas
    from proxy.sip.uri import Params, Uri
    from proxy.sip.values import CSeq, NameAddr, SessionExpires, Via

from tests.fuzz.target import fuzz, torture_messages


def one(data: bytes) -> None:
    text = data.decode("utf-8", "surrogateescape")
    split_commas(text)
    for kind in (Uri, NameAddr, Via, CSeq, Params, SessionExpires):
        try:
            value = kind.parse(text)
        except ParseError:
            continue
        assert kind.parse(str(value)) == value, (kind, text)
        if isinstance(value, Uri):
            assert value.matches(value)
            _ = value.transport, value.loose, str(value.logical)


if __name__ == "__main__":
    lines = b"\n".join(torture_messages()).splitlines()
    fuzz(one, sorted({line.partition(b":")[2].strip() for line in lines if b":" in line}))
