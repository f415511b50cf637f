"""Fuzz target for digest challenges and credentials: only ParseError or DigestRefused may be raised."""

import sys
from pathlib import Path

import atheris

sys.path.insert(0, str(Path(__file__).parents[2]))

with atheris.instrument_imports(include=["proxy.sip"]):
    from proxy.sip.digest import DigestClient, DigestRefused, parse_challenge
    from proxy.sip.errors import ParseError
    from proxy.sip.headers import Headers
    from proxy.sip.message import Request, Response

from tests.fuzz.target import fuzz

SEEDS = (
    b'Digest realm="example.com", nonce="84a4cc6f3082121f32b42a2187831a9e", qop="auth,auth-int", opaque="x"',
    b'Digest realm="a \\"b\\"",nonce=n,algorithm=SHA-256-sess,stale=TRUE,qop=auth',
    b'digest  nonce="", realm="" , , algorithm=MD5-sess',
    b'Digest username="u", realm="example.com", nonce="n", uri="sip:a", response="00", qop=auth, nc=00000001',
    b'NoOneKnows x=y, Digest realm="r"',
)
HEADERS = [("From", "<sip:a>;tag=1"), ("Call-ID", "c"), ("CSeq", "1 INVITE")]


def one(data: bytes) -> None:
    text = data.decode("utf-8", "surrogateescape").replace("\r", "").replace("\n", "").replace("\0", "")
    try:
        challenge = parse_challenge(text)
    except ParseError:
        pass
    else:
        _ = challenge.strength, challenge.usable
    for asked, given in (
        ("WWW-Authenticate", "Authorization"),
        ("Proxy-Authenticate", "Proxy-Authorization"),
    ):
        request = Request("INVITE", "sip:b", Headers([*HEADERS, (given, text)]))
        try:
            answer = DigestClient("u", "p").authorize(
                request, Response(401, "", Headers([(asked, text)])), "cn"
            )
        except (DigestRefused, ParseError):
            continue
        for _, value in answer:
            value.encode("utf-8", "surrogateescape")


if __name__ == "__main__":
    fuzz(one, SEEDS)
