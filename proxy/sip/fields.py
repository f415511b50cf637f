"""Message: base class of requests and responses, with typed access to their headers (RFC 3261 §20)."""

from __future__ import annotations

from functools import lru_cache

from proxy.sip.errors import ParseError
from proxy.sip.grammar import number, once, shown
from proxy.sip.headers import Headers
from proxy.sip.values import (
    CSeq,
    NameAddr,
    TopVia,
    Via,
    parse_address,
    parse_cseq,
    parse_name_addr,
    parse_top_via,
    parse_via,
    tag_of,
)

MANDATORY = {"via": "Via", "from": "From", "to": "To", "call-id": "Call-ID", "cseq": "CSeq"}
"""Mandatory headers by key (§8.1.1); not Max-Forwards, which an RFC 2543 request may lack."""


class Message:
    """Headers and body of a request or response; properties parse header values on access.

    They raise ParseError for a value that is malformed, or missing although mandatory.
    """

    __slots__ = ()
    headers: Headers
    body: bytes

    @property
    def start_line(self) -> str:
        """The first line, without its CRLF."""
        raise NotImplementedError

    @property
    def via(self) -> Via:
        """The topmost Via."""
        line = self.headers.first.get("via")
        if line and "," not in line:
            return parse_via(line)
        return self.vias[0]

    @property
    def top_via(self) -> TopVia:
        """The parts of the topmost Via that transaction matching needs."""
        first = self.headers.first
        if "via" in first and (line := first["via"]) and "," not in line:
            return parse_top_via(line)
        return parse_top_via(str(self.via))

    @property
    def vias(self) -> list[Via]:
        """Every Via, topmost (last hop) first; never empty."""
        values = self.headers.split("Via")
        if not values:
            raise ParseError("missing Via")
        return [Via.parse(value) for value in values]

    @property
    def via_count(self) -> int:
        """The number of Via values; a response to our own request must have exactly one (§8.1.3.3)."""
        lines = self.headers.get_all("Via")
        if len(lines) == 1 and "," not in lines[0]:
            return 1
        return len(self.headers.split("Via")) if any("," in line for line in lines) else len(lines)

    @property
    def from_(self) -> NameAddr:
        """The From of the message (§20.20)."""
        first = self.headers.first
        return parse_name_addr(first["from"] if "from" in first else _missing("from"))

    @property
    def sender(self) -> NameAddr:
        """The From, with or without its tag; cheaper than `from_` where the tag does not matter."""
        first = self.headers.first
        return parse_address(first["from"] if "from" in first else _missing("from"))

    @property
    def to(self) -> NameAddr:
        """The To of the message (§20.39)."""
        first = self.headers.first
        return parse_name_addr(first["to"] if "to" in first else _missing("to"))

    @property
    def from_tag(self) -> str | None:
        """The tag of From; None from an RFC 2543 element."""
        first = self.headers.first
        return tag_of(first["from"] if "from" in first else _missing("from"))

    @property
    def to_tag(self) -> str | None:
        """The tag of To; None outside a dialog."""
        first = self.headers.first
        return tag_of(first["to"] if "to" in first else _missing("to"))

    @property
    def call_id(self) -> str:
        """The Call-ID, compared byte for byte (§20.8)."""
        first = self.headers.first
        value = first["call-id"] if "call-id" in first else _missing("call-id")
        if not value or " " in value or "\t" in value:
            raise ParseError(f"malformed Call-ID: {shown(value)}")
        return value

    @property
    def cseq(self) -> CSeq:
        """The sequence number and method (§20.16)."""
        first = self.headers.first
        return parse_cseq(first["cseq"] if "cseq" in first else _missing("cseq"))

    @property
    def contact(self) -> NameAddr | None:
        """The first Contact; None where there is none."""
        first = self.headers.first
        if "contact" not in first:
            return None
        line = first["contact"]
        if line and "," not in line:
            return parse_name_addr(line)
        values = self.headers.split("Contact")
        return NameAddr.parse(values[0]) if values else None

    @property
    def routes(self) -> list[NameAddr]:
        """The Route values of the request, next hop first (§20.34)."""
        return [NameAddr.parse(value) for value in self.headers.split("Route")]

    @property
    def record_routes(self) -> list[NameAddr]:
        """The Record-Route values in message order (§20.30)."""
        return [NameAddr.parse(value) for value in self.headers.split("Record-Route")]

    @property
    def max_forwards(self) -> int | None:
        """Max-Forwards, 0 to 255 (§20.22); None if absent."""
        first = self.headers.first
        return parse_max_forwards(first["max-forwards"]) if first.get("max-forwards") else None

    @property
    def content_type(self) -> str | None:
        """The media type of the body, lower-case, without parameters; None if not given."""
        value = self.headers.first.get("content-type")
        if value == "application/sdp":
            return value
        if value is not None:
            return "".join(value.partition(";")[0].split()).lower() or None
        # OpenAI's 200 carried SDP without a Content-Type (2025-09)
        return "application/sdp" if self.body.startswith(b"v=0") else None


def _missing(key: str) -> str:
    raise ParseError(f"missing {MANDATORY[key]}")


@lru_cache(maxsize=256)
def parse_max_forwards(value: str) -> int:
    """The value of a Max-Forwards, 0 to 255; raises ParseError."""
    return number(once(value), "Max-Forwards", 255)
