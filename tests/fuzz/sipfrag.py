"""Fuzz target for parse_sipfrag: a status or ParseError."""

import sys
from pathlib import Path

import atheris

sys.path.insert(0, str(Path(__file__).parents[2]))

with atheris.instrument_imports(include=["proxy.sip"]):
    from proxy.sip.errors import ParseError
    from proxy.sip.sipfrag import parse_sipfrag, sipfrag

from tests.fuzz.target import fuzz


def one(data: bytes) -> None:
    try:
        status = parse_sipfrag(data)
    except ParseError:
        return
    assert parse_sipfrag(sipfrag(status)) == status
    assert 100 <= status <= 699


if __name__ == "__main__":
    fuzz(
        one, [sipfrag(100), b"SIP/2.0  486 Busy\r\nContact: <sip:a>\r\n", b"sip/2.0 200", b"\r\nSIP/2.0 2000"]
    )
