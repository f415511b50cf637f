"""Fuzz target for PASSporTs and TNAuthLists: only PassportRefused or CredentialRefused may be raised."""

import base64
import contextlib
import json
import sys
from datetime import UTC, datetime
from pathlib import Path

import atheris

sys.path.insert(0, str(Path(__file__).parents[2]))

with atheris.instrument_imports(include=["screening"]):
    from screening.contract import IdentityHeaders
    from screening.stir.certificates import PORTS, parse_url
    from screening.stir.credential import CredentialRefused, load_credential, tn_auth_list
    from screening.stir.passport import Passport, PassportRefused, find_originator

from tests.fuzz.target import fuzz

NOW = datetime(2026, 11, 22, tzinfo=UTC)
CALL = IdentityHeaders((), ("+14155550100", "sip:\udcff@b"), ("+14155551234",), NOW)
SIGNATURE = "A" * 86
HEADER = {"alg": "ES256", "typ": "passport", "ppt": "shaken", "x5u": "https://cert.example.org/a.pem"}
CLAIMS = {
    "attest": "A",
    "dest": {"tn": ["14155551234"]},
    "iat": 1,
    "orig": {"tn": "14155550100"},
    "origid": "x",
}
DIV = {"dest": {"tn": ["14155551234"]}, "iat": 1, "orig": {"tn": "14155550100"}, "div": {"tn": "1"}}


def b64(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def token(header: bytes, claims: bytes) -> str:
    return f"{b64(header)}.{b64(claims)}.{SIGNATURE}"


SEEDS = [
    *(json.dumps(each).encode() for each in (CLAIMS, DIV, HEADER, HEADER | {"ppt": "div"})),
    token(json.dumps(HEADER).encode(), json.dumps(CLAIMS).encode()).encode(),
    f"..{SIGNATURE};info=<https://cert.example.org/a.pem>;alg=ES256".encode(),
    b"https://cert.example.org:8443/a.pem",
    bytes.fromhex("3008a006160437303949"),
    bytes.fromhex("3015a1133011160b3134313535353530313030020200c8"),
]


def one(data: bytes) -> None:
    text = data.decode("utf-8", "surrogateescape")
    header = json.dumps(HEADER).encode()
    div = json.dumps(HEADER | {"ppt": "div"}).encode()
    for value in (text, token(header, data), token(div, data), token(data, json.dumps(CLAIMS).encode())):
        with contextlib.suppress(PassportRefused):
            passport = Passport.parse(value, CALL, "US")
            assert passport.orig
            assert passport.dests
            find_originator([passport], CALL, "US")
    with contextlib.suppress(PassportRefused):
        host, port, path = parse_url(text, PORTS)
        assert "." in host
        assert port in PORTS
        assert path[0] == "/"
    with contextlib.suppress(CredentialRefused):
        tn_auth_list(data)
    with contextlib.suppress(CredentialRefused):
        load_credential(data, [], NOW)


if __name__ == "__main__":
    fuzz(one, SEEDS)
