"""Fuzz target for a=crypto: a key of the suite's length, or CryptoRefused without the key in its text."""

import contextlib
import sys
from pathlib import Path

import atheris

sys.path.insert(0, str(Path(__file__).parents[2]))

with atheris.instrument_imports(include=["proxy.media"]):
    from proxy.media.interface import MediaRefused
    from proxy.media.negotiation import read_offer
    from proxy.media.sdes import SUITES, CryptoRefused, SrtpPolicy, parse, usable

from tests.fuzz.target import fuzz
from tests.kit.messages import SDP

KEY = "WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz"
SEEDS = [
    f"1 {name} inline:{KEY}{more}".encode()
    for name in SUITES
    for more in ("", "|2^20", "|2^20|1:4", "|1:32", f";inline:{KEY}|2^20|2:4", " WSH=128", " -X=1", f" {KEY}")
]


def one(data: bytes) -> None:
    value = data.decode("utf-8", "surrogateescape")
    crypto, why = None, ""
    try:
        crypto = parse(value)
    except CryptoRefused as refusal:
        why = str(refusal)
    assert KEY[8:20] not in why
    if crypto is not None:
        assert len(crypto.master) == crypto.suite.master_bytes
        assert parse(crypto.line.removeprefix("a=crypto:")).same_key(crypto)
    usable(value.splitlines())
    offer = SDP.replace(b"RTP/AVP", b"RTP/SAVP") + b"a=crypto:" + data + b"\r\n"
    with contextlib.suppress(MediaRefused):
        read_offer(offer, ip_version=4, voice_key=None, anchor=None, srtp=SrtpPolicy.REQUIRE)


if __name__ == "__main__":
    fuzz(one, SEEDS)
