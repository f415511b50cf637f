"""Sends a REGISTER with SHA-256 digest (RFC 8760): SIPp reads only the first challenge, and only MD5."""

from __future__ import annotations

import hashlib
import re
import socket

from tests.sipp.edge_process import HOST, PASSWORD

LIMIT_S = 5.0
ASK = """\
REGISTER {uri} SIP/2.0
Via: SIP/2.0/UDP 127.0.0.1:{port};branch=z9hG4bK-desk-{number};rport
Max-Forwards: 70
From: <sip:{user}@127.0.0.1>;tag=desk{port}
To: <sip:{user}@127.0.0.1>
Call-ID: desk-{port}@127.0.0.1
CSeq: {number} REGISTER
Contact: <sip:{user}@127.0.0.1:{port}>;expires=120
{credentials}Content-Length: 0

"""


def register(user: str, port: int, edge: int) -> list[str]:
    """Register a phone at a UDP port, then close it; returns the responses (RFC 3261 §10, RFC 8760 §2)."""
    uri = f"sip:{HOST}:{edge}"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as desk:
        desk.settimeout(LIMIT_S)
        desk.bind((HOST, port))

        def ask(number: int, credentials: str = "") -> str:
            text = ASK.format(uri=uri, user=user, port=port, number=number, credentials=credentials)
            desk.sendto(text.replace("\n", "\r\n").encode(), (HOST, edge))
            return desk.recv(65536).decode()

        challenged = ask(1)
        challenge = re.search(
            r'WWW-Authenticate: Digest realm="([^"]*)".*nonce="([^"]*)".*algorithm=SHA-256', challenged
        )
        assert challenge is not None, challenged
        return [challenged, ask(2, _credentials(user, uri, challenge[1], challenge[2]))]


def _credentials(user: str, uri: str, realm: str, nonce: str) -> str:
    ha1, ha2 = _sha256(f"{user}:{realm}:{PASSWORD}"), _sha256(f"REGISTER:{uri}")
    response = _sha256(f"{ha1}:{nonce}:00000001:c:auth:{ha2}")
    return (
        f'Authorization: Digest username="{user}", realm="{realm}", nonce="{nonce}", uri="{uri}", '
        f'algorithm=SHA-256, qop=auth, nc=00000001, cnonce="c", response="{response}"\n'
    )


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
