"""Deviations from the grammar that real devices send: each is a change to the text of a good message."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

Deviation = Callable[[str], str]
"""Takes the text of a message, with LF line ends, and returns it with one deviation."""

_COMPACT = {
    "Via": "v", "From": "f", "To": "t", "Call-ID": "i", "Contact": "m", "Content-Type": "c",
    "Content-Length": "l", "Supported": "k", "Subject": "s", "Session-Expires": "x",
}  # fmt: skip


def _line(name: str, change: Callable[[str], str]) -> Deviation:
    """Change the whole line of that name."""
    return lambda text: re.sub(rf"^{name}: .*$", lambda found: change(found[0]), text, count=1, flags=re.M)


def _after(line: str) -> Deviation:
    """Put a line after the start line."""
    return lambda text: text.replace("\n", f"\n{line}\n", 1)


def _head(change: Callable[[str], str]) -> Deviation:
    """Change every line between the start line and the body."""

    def deviation(text: str) -> str:
        head, blank, body = text.partition("\n\n")
        start, *lines = head.split("\n")
        return "\n".join([start, *map(change, lines)]) + blank + body

    return deviation


def _compact(line: str) -> str:
    name, colon, value = line.partition(":")
    return f"{_COMPACT.get(name, name)}{colon}{value}"


def _named(change: Callable[[str], str]) -> Deviation:
    return _head(lambda line: change(line.partition(":")[0]) + ":" + line.partition(":")[2])


DEVIATIONS: dict[str, Deviation] = {
    "compact header names": _head(_compact),
    "upper-case header names": _named(str.upper),
    "lower-case header names": _named(str.lower),
    "white space around the colon": _head(lambda line: line.replace(":", " \t:  ", 1)),
    "no white space after the colon": _head(lambda line: line.replace(": ", ":", 1)),
    "white space at the end of lines": _head(lambda line: line + " \t"),
    "folded lines": _head(lambda line: line.replace(": ", ":\n ", 1)),
    "folded within a value": _line("Via", lambda line: line.replace(";", "\n\t;", 1)),
    "an upper-case scheme and parameters": lambda text: (
        text.replace("<sip:", "<SIP:").replace(";tag=", ";TAG=").replace(";branch=", ";BRANCH=")
    ),
    "upper-case branch value": lambda text: text.replace("z9hG4bK", "Z9HG4BK"),
    "an upper-case media type": lambda text: text.replace("application/sdp", "APPLICATION/SDP"),
    "a lower-case version": lambda text: text.replace(" SIP/2.0\n", " sip/2.0\n", 1),
    "no Content-Type before v=0": _line("Content-Type", lambda line: "X-None: x"),
    "an empty Content-Type": _line("Content-Type", lambda line: "Content-Type:"),
    "empty lines before the message": lambda text: "\n\n" + text,
    "From twice": _line("From", lambda line: f"{line}\n{line}"),
    "To twice": _line("To", lambda line: f"{line}\nt{line[2:]}"),
    "Call-ID twice": _line("Call-ID", lambda line: f"{line}\n{line}"),
    "CSeq twice": _line("CSeq", lambda line: f"{line}\n{line}"),
    "Max-Forwards twice": _line("Max-Forwards", lambda line: f"{line}\n{line}"),
    "Max-Forwards twice in a line": _line("Max-Forwards", lambda line: f"{line}, 70"),
    "Content-Length twice": _line("Content-Length", lambda line: f"{line}\n{line}"),
    "Content-Length twice in a line": _line("Content-Length", lambda line: f"{line},{line[15:]}"),
    "Content-Type twice": _line("Content-Type", lambda line: f"{line}\n{line}"),
    "Contact twice": _line("Contact", lambda line: f"{line}\n{line}"),
    "Contact twice in a line": _line("Contact", lambda line: f"{line}, <sip:other@192.0.2.99>"),
    "a semicolon after From": _line("From", lambda line: line + ";"),
    "a semicolon after To": _line("To", lambda line: line + " ;"),
    "a semicolon after Via": _line("Via", lambda line: line + ";"),
    "a semicolon after Contact": _line("Contact", lambda line: line + ";"),
    "white space in Via": _line("Via", lambda line: line.replace(";", " ; ").replace("=", " = ")),
    "a comma after Via": _line("Via", lambda line: line + ","),
    "From without brackets": _line("From", lambda line: re.sub(r'".*<(.*)>', r"\1;user=phone", line)),
    "From with a name and no brackets": _line("From", lambda line: re.sub(r"<(.*)>", r"\1", line)),
    "To without brackets": _line("To", lambda line: re.sub(r"<(.*)>", r"\1", line)),
    "Contact without brackets": _line("Contact", lambda line: re.sub(r"<([^<>]*)>", r"\1;x", line)),
    "a name without quotes": _line("From", lambda line: line.replace('"Smith, Ann"', "Smith, Ann O'Neil")),
    "a name in latin-1": _line("From", lambda line: line.replace("Smith", "Sm\udcefth")),
    "no white space before the bracket": _line("From", lambda line: line.replace(" <", "<")),
    "white space within the brackets": _line("To", lambda line: line.replace("<", "< ").replace(">", " >")),
    "leading zeros in CSeq": _line("CSeq", lambda line: line.replace(": ", ": 00").replace(" INV", "   INV")),
    "no Max-Forwards": _line("Max-Forwards", lambda line: "X-None: x"),
    "an empty Max-Forwards": _line("Max-Forwards", lambda line: "Max-Forwards:"),
    "a reason phrase of a date": _after("Date: yesterday"),
    "an option asked for in upper case": _after("Require: TIMER"),
    **{
        f"an empty {name}": _after(f"{name}:")
        for name in (
            "Accept", "Allow", "Allow-Events", "Content-Disposition", "Content-Encoding", "Date", "Diversion",
            "Expires", "Identity", "Min-SE", "P-Asserted-Identity", "Privacy", "Proxy-Require", "Reason",
            "Record-Route", "Require", "Route", "Session-Expires", "Subject", "Supported", "Timestamp",
            "User-Agent", "X-Anything",
        )
    },
}  # fmt: skip
"""Each leaves a message whose meaning is unambiguous, so that the edge must accept it."""


def combined(names: Iterable[str]) -> list[Deviation]:
    """Several deviations, in an order in which they can be combined; of two that conflict, one is dropped."""
    chosen = sorted(names, key=_order)
    if len({"From with a name and no brackets", "a name without quotes"}.intersection(chosen)) == 2:
        chosen.remove("a name without quotes")
    return [DEVIATIONS[name] for name in chosen]


def _order(name: str) -> tuple[int, str]:
    """Sort key: duplicating a line comes after changing it; what makes lines hard to find comes last."""
    late = (" twice in a line", " twice", "a comma", "header names", "the colon", "folded", "empty lines")
    return next((place + 1 for place, words in enumerate(late) if words in name), 0), name
