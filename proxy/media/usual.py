"""SDP without what differs from call to call, so that what was made of it once can be looked up."""

from __future__ import annotations

import re
from functools import lru_cache

_LONGEST = 2048
"""Bytes of a body that is worth keeping."""
_BEGINS, _AUDIO = b"v=0\r\no=", b"\r\nm=audio "
_RTCP = re.compile(rb"([0-9]{1,5})[ \r]")


def usual_text(body: bytes) -> tuple[bytes, int] | None:
    """A body as it would be with nothing in its o= line and port 9 in its only m= line, and that line's port.

    Neither has a say in what is agreed, but for where to send. None: not of that form, too long to keep, or
    a key may be in it, which no cache should have.
    """
    at = body.find(_AUDIO) + len(_AUDIO)
    if at < len(_AUDIO) or len(body) > _LONGEST or not body.startswith(_BEGINS):
        return None
    until = body.find(b"\r\n", len(_BEGINS))
    origin = body[len(_BEGINS) : until]
    digits, space, formats = body[at:].partition(b" ")
    if origin.translate(None, b"\r\n\0") != origin or not (space and digits.isdigit()) or len(digits) > 5:
        return None
    text, port = _BEGINS + body[until:at] + b"9 " + formats, int(digits)
    try:
        _examine(text)
    except _Unusual:
        return None
    return (text, port) if 0 < port < 65536 else None


class _Unusual(Exception):
    """Not to be kept; nor is what raises it, by a cache."""


@lru_cache(maxsize=256)
def _examine(text: bytes) -> None:
    """Once for each that is of use: as often as not this would be half of what a body costs."""
    # RFC 4568; RFC 8866 §5.12; RFC 4567
    if text.count(b"m=") != 1 or b"a=crypto" in text or b"k=" in text or b"a=key-mgmt" in text:
        raise _Unusual


def usual_ports(body: bytes) -> tuple[bytes, int] | None:
    """As `usual_text`, and so with its only a=rtcp line: port 9 where it names that of RTP, 10 where it names
    the next. None as well where it names any other.
    """
    usual = usual_text(body)
    if usual is None or b"a=rtcp:" not in usual[0]:
        return usual
    text, port = usual
    before, line, after = text.partition(b"\na=rtcp:")
    found = _RTCP.match(after)
    if found is None or text.count(b"a=rtcp:") != 1:
        return None
    told = int(found[1])
    if not port <= told <= min(port + 1, 65535):
        return None
    return before + line + (b"9" if told == port else b"10") + after[found.end(1) :], port


def moved(control: tuple[str, int] | None, port: int) -> tuple[str, int] | None:
    """Where a line whose RTP is at `port` wants its RTCP, if as `usual_ports` has it that is `control`."""
    return None if control is None else (control[0], control[1] - 9 + port)
