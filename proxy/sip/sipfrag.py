"""message/sipfrag: the status line that reports the progress of a REFER (RFC 3420, RFC 3515 §2.4.5)."""

from __future__ import annotations

import re

from proxy.sip.errors import ParseError
from proxy.sip.grammar import shown
from proxy.sip.status import reason_phrase

_STATUS_LINE = re.compile(rb"\s*SIP/2\.0[ \t]+([1-6][0-9][0-9])(?![0-9])", re.IGNORECASE).match


def sipfrag(status: int, reason: str | None = None) -> bytes:
    """The body of a NOTIFY: one status line such as `SIP/2.0 100 Trying`."""
    phrase = reason_phrase(status) if reason is None else reason
    line = f"SIP/2.0 {status} {phrase}"
    if "\r" in line or "\n" in line:
        raise ValueError(f"reason would break the line: {shown(phrase)}")
    return f"{line}\r\n".encode()


def parse_sipfrag(body: bytes) -> int:
    """The status code in a NOTIFY body, any header lines after it ignored; raises ParseError."""
    status = _STATUS_LINE(body)
    if status is None:
        raise ParseError(f"no status line in sipfrag: {shown(body[:60].decode('latin-1'))}")
    return int(status[1])
