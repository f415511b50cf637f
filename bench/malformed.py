"""Damaged INVITEs, made from those that trunks send: the same seed gives the same damage."""

from __future__ import annotations

import random
import re

SDP = """\
v=0
o=Switch 1759790112 1759790113 IN IP4 192.0.2.13
s=-
c=IN IP4 192.0.2.13
t=0 0
m=audio 24586 RTP/AVP 0 8 101
a=rtpmap:0 PCMU/8000
a=rtpmap:101 telephone-event/8000
a=fmtp:101 0-15
"""

TRUNK = """\
INVITE sip:{dialed}@sbc.example.com:5060;transport=UDP SIP/2.0
Record-Route: <sip:198.51.100.114:5060;r2=on;lr;ftag=f{n};nat=yes>
Record-Route: <sip:198.51.100.114:5061;transport=tls;r2=on;lr;ftag=f{n};nat=yes>
Via: SIP/2.0/UDP 198.51.100.114:5060;branch=z9hG4bK{n}.0;i=9eed1
Via: SIP/2.0/TLS 192.0.2.13:35181;received=192.0.2.13;rport=36607;branch=z9hG4bKinner{n}
Max-Forwards: 61
From: <sip:+13475550148@sip.example.net>;tag=f{n}
To: <sip:{dialed}@sbc.example.com:5060;transport=UDP>
Call-ID: fuzz-{n}
CSeq: 105354320 INVITE
Contact: <sip:mod_switch@192.0.2.13:35181;transport=tls;swrad=192.0.2.13~36607~3>
User-Agent: Switch
Allow: INVITE, ACK, BYE, CANCEL, OPTIONS, MESSAGE, INFO, UPDATE, REGISTER, REFER, NOTIFY
Supported: timer, path, replaces
Session-Expires: 600;refresher=uac
Min-SE: 90
Content-Type: application/sdp
Content-Disposition: session
Content-Length: {length}
"""

PLAIN = """\
INVITE sip:{dialed}@sbc.example.com SIP/2.0
v: SIP/2.0/TCP 192.0.2.7:5060;branch=z9hG4bK{n};rport
f: "Ann O'Neil, Jr." <sip:+14155550199@example.com;user=phone>;tag=g{n}
t: sip:{dialed}@sbc.example.com
i: fuzz-{n}
CSeq: 1 INVITE
m: "Ann" <sip:ann@192.0.2.7>;q=0.5
Accept: application/sdp, multipart/mixed
Require: timer
P-Asserted-Identity: "Ann" <sip:+14155550199@example.com>
c: multipart/mixed;boundary=cut
l: {length}
"""

TOKENS = (
    b"\0", b"\r", b"\n", b"\r\n", b"\r\n ", b"\t", b'"', b"<", b">", b"<>", b";", b";;;;", b",", b",,",
    b"=", b"@", b":", b"?", b"%00", b"%", b"[", b"]", b"[::1]", b"\xff\xfe", "но".encode(), b"SIP/2.0",
    b"SIP/9.9", b"sips:", b"tel:", b"-1", b"0", b"4294967296", b"9" * 40, b"A" * 300, b"a" * 9000,
    b"z9hG4bK", b"INVITE", b"ACK", b"CANCEL", b"BYE", b"%s%n%x", b"../../", b"{}", b"()", b"*",
)  # fmt: skip


def valid_invite(number: int, dice: random.Random) -> bytes:
    """Return a valid INVITE to start from; one in eight dials the configured number."""
    dialed = "+14155551234" if dice.random() < 0.125 else f"+1415555{dice.randrange(10000):04d}"
    head, body = TRUNK, SDP.replace("\n", "\r\n")
    if dice.random() < 0.4:
        head = PLAIN
        body = f"--cut\r\nContent-Type: application/sdp\r\n\r\n{body}\r\n--cut--\r\n"
    text = head.format(dialed=dialed, n=number, length=len(body)).replace("\n", "\r\n")
    return f"{text}\r\n{body}".encode()


def damaged(number: int, dice: random.Random) -> bytes:
    """Return an INVITE with one to four random changes: to bytes, words, lines, numbers, line ends."""
    data = valid_invite(number, dice)
    for _ in range(dice.choice((1, 1, 1, 2, 2, 3, 4))):
        data = dice.choice(DAMAGES)(data, dice)
    return data


def _flip(data: bytes, dice: random.Random) -> bytes:
    place = dice.randrange(len(data) or 1)
    return data[:place] + bytes([dice.randrange(256)]) + data[place + 1 :]


def _insert(data: bytes, dice: random.Random) -> bytes:
    place = dice.randrange(len(data) + 1)
    return data[:place] + dice.choice(TOKENS) + data[place:]


def _cut_out(data: bytes, dice: random.Random) -> bytes:
    place = dice.randrange(len(data) or 1)
    return data[:place] + data[place + dice.choice((1, 2, 5, 20, 200)) :]


def _truncate(data: bytes, dice: random.Random) -> bytes:
    return data[: dice.randrange(len(data) + 1)]


def _lines(data: bytes, dice: random.Random) -> bytes:
    """Remove, duplicate, swap or fold lines, or remove their value."""
    lines = data.split(b"\r\n")
    place = dice.randrange(len(lines))
    match dice.randrange(6):
        case 0:
            del lines[place]
        case 1:
            lines.insert(place, lines[dice.randrange(len(lines))])
        case 2:
            dice.shuffle(lines)
        case 3:
            lines[place] = b" " + lines[place]
        case 4:
            lines[place] = lines[place].partition(b":")[0] + b":"
        case _:
            lines[place] = lines[place] * dice.choice((2, 30))
    return b"\r\n".join(lines)


def _numbers(data: bytes, dice: random.Random) -> bytes:
    found = list(re.finditer(rb"[0-9]+", data))
    if not found:
        return data
    one = dice.choice(found)
    return (
        data[: one.start()]
        + dice.choice((b"", b"-1", b"0", b"256", b"99999999999", b"1e3"))
        + data[one.end() :]
    )


def _words(data: bytes, dice: random.Random) -> bytes:
    found = list(re.finditer(rb"[A-Za-z0-9+.-]+", data))
    if not found:
        return data
    one = dice.choice(found)
    return data[: one.start()] + dice.choice(TOKENS) + data[one.end() :]


def _line_ends(data: bytes, dice: random.Random) -> bytes:
    return data.replace(b"\r\n", dice.choice((b"\n", b"\r", b"\r\r\n", b"\n\r")), dice.choice((1, 3, -1)))


DAMAGES = (_flip, _insert, _insert, _cut_out, _truncate, _lines, _lines, _numbers, _words, _words, _line_ends)
