"""Credentials, tokens and SRTP keys are masked in SIP messages that are shown or stored."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.observe.masking import masked
from proxy.sip.message import parse_message

INVITE = """\
INVITE sip:+14155551234@sbc.example.com SIP/2.0
Via: SIP/2.0/TLS 192.0.2.1;branch=z9hG4bK1;response=kept
From: <sip:a@192.0.2.1>;tag=1
To: <sip:b@192.0.2.2>
Call-ID: 1@192.0.2.1
CSeq: 2 INVITE
Max-Forwards: 70
Proxy-Authorization: Digest username="bob", realm="r", nonce="n", response="6629fae49393a053",cnonce="0a"
X-Screendoor-Token: eyJhbGciOi
Content-Type: application/sdp
Content-Length: 180

v=0
o=- 1 1 IN IP4 192.0.2.1
s=-
c=IN IP4 192.0.2.1
t=0 0
m=audio 5004 RTP/SAVP 0
a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA|2^20
k=clear:geheim
""".replace("\n", "\r\n").encode()
SECRETS = (b'"bob"', b'"6629fae49393a053"', b"eyJhbGciOi", b"WVNfX19zZW1jdGwgKCkgewkyMjA", b"clear:geheim")


def test_only_keys_tokens_and_digest_responses_are_masked() -> None:
    shown = masked(INVITE)
    expected = INVITE
    for secret in SECRETS:
        expected = expected.replace(secret, b"x" * len(secret))
    assert shown == expected
    assert parse_message(shown).body.endswith(b"k=xxxxxxxxxxxx\r\n")  # Content-Length still matches


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        (b"Authorization: Bearer abc", b"Authorization: xxxxxxxxxx"),
        (b"authorization : Basic YTpi", b"authorization : xxxxxxxxxx"),
        (b"Authorization: Digest response = abc , uri=x", b"Authorization: Digest response = xxxx, uri=x"),
        (b'AUTHORIZATION: digest RESPONSE="ab"', b"AUTHORIZATION: digest RESPONSE=xxxx"),
        (b"Authorization: Digest a=b,username*=UTF-8''J", b"Authorization: Digest a=b,username*=xxxxxxxx"),
        (
            b'Authentication-Info: nc=1,rspauth="6629", qop=auth',
            b"Authentication-Info: nc=1,rspauth=xxxxxx, qop=auth",
        ),
        (b'Authentication-Info: rspauth="6629"', b"Authentication-Info: rspauth=xxxxxx"),
        (b"a=key-mgmt:mikey AQAFgM0XflABAAA", b"a=key-mgmt:xxxxxxxxxxxxxxxxxxxxx"),
        (b"a=crypto:1 A inline:k1;inline:k2", b"a=crypto:1 A inline:xx;inline:xx"),
        (b'WWW-Authenticate: Digest realm="r", nonce="n"', b'WWW-Authenticate: Digest realm="r", nonce="n"'),
    ],
)
def test_secrets_are_masked_in_every_spelling(line: bytes, shown: bytes) -> None:
    assert masked(line) == shown


@given(st.binary(), st.sampled_from([b"\r\nAuthorization: ", b" inline:", b"\nk=", b",response="]))
def test_masking_keeps_the_length_of_a_message(octets: bytes, before: bytes) -> None:
    assert len(masked(octets + before + octets)) == len(octets + before + octets)
