"""SDP without what differs from call to call, so that what was made of it once can be looked up."""

from __future__ import annotations

import re
from functools import lru_cache

_LONGEST = 2048
"""Bytes of a body that is worth keeping."""
_VERSION, _ORIGIN, _AUDIO = b"v=0", b"\r\no=", b"\r\nm=audio "
_RTCP = re.compile(rb"([0-9]{1,5})[ \r]")


def usual_text(body: bytes) -> tuple[bytes, int, bool] | None:
    """A body as it would be with nothing in its o= line and port 9 in its only m= line, that line's port, and
    whether there may be an a=rtcp line.

    Neither has a say in what is agreed, but for where to send. None: not of that form, too long to keep, or
    a key may be in it, which no cache should have.
    """
    before, _, after = body.partition(_AUDIO)
    digits, _, formats = after.partition(b" ")
    version, _, named = before.partition(_ORIGIN)
    origin, end, middle = named.partition(b"\r\n")
    if version != _VERSION or not (end and digits.isdigit()) or len(digits) > 5:
        return None
    port = int(digits)
    if not 0 < port < 65536 or origin.translate(None, b"\r\n\0") != origin:
        return None
    try:
        text, reports = _examine(middle, formats)
    except _Unusual:
        return None
    return text, port, reports


class _Unusual(Exception):
    """Not to be kept; nor is what raises it, by a cache."""


@lru_cache(maxsize=256)
def _examine(middle: bytes, formats: bytes) -> tuple[bytes, bool]:
    """The text of which this is the part that counts, and whether an a=rtcp line may be in it. Once for each
    that is of use: as often as not this would be half of what a body costs.
    """
    text = b"".join((_VERSION, _ORIGIN, b"\r\n", middle, _AUDIO, b"9 ", formats))
    # RFC 4568; RFC 8866 §5.12; RFC 4567
    keys = b"a=crypto" in text or b"k=" in text or b"a=key-mgmt" in text
    if len(text) > _LONGEST or text.count(b"m=") != 1 or keys:
        raise _Unusual
    return text, b"a=rtcp:" in text


def usual_ports(body: bytes) -> tuple[bytes, int] | None:
    """As `usual_text`, and so with its only a=rtcp line: port 9 where it names that of RTP, 10 where it names
    the next. None as well where it names any other.
    """
    usual = usual_text(body)
    if usual is None:
        return None
    text, port, reports = usual
    if not reports:
        return text, port
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
