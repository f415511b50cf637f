"""Fuzz target for reduce_to_sdp: it never raises and never enlarges the body."""

import sys
from pathlib import Path

import atheris

sys.path.insert(0, str(Path(__file__).parents[2]))

with atheris.instrument_imports(include=["proxy.sip"]):
    from proxy.sip.body import reduce_to_sdp
    from proxy.sip.headers import Headers
    from proxy.sip.message import Request

from tests.fuzz.target import fuzz

SEEDS = (
    b"multipart/mixed;boundary=b\n--b\r\nContent-Type: application/sdp\r\n\r\nv=0\r\n--b--\r\n",
    b"multipart/mixed;boundary=a\n--a\r\nContent-Type: multipart/x;boundary=b\r\n\r\n--b\r\n\r\nx\r\n--b--",
    b'multipart/x;boundary="b"\n--b\r\nContent-Disposition: x;handling=required\r\n\r\n\r\n--b\r\n--b',
)


def one(data: bytes) -> None:
    kind, _, body = data.partition(b"\n")
    value = kind.decode("utf-8", "surrogateescape").replace("\r", "").replace("\0", "")
    request = Request("INVITE", "sip:b", Headers([("Content-Type", value)]), body)
    reduce_to_sdp(request)
    assert len(request.body) <= len(body)


if __name__ == "__main__":
    fuzz(one, SEEDS)
