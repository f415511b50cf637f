"""Draws a call as a ladder diagram: a line per message, in the column of its leg."""

from __future__ import annotations

from textwrap import shorten

from proxy.sip.errors import ParseError
from proxy.sip.message import Request, Response
from proxy.sip.uri import Uri

WIDTH, REASON = 27, 19
"""Characters per column, and of a reason phrase within it."""
COLUMNS = ("caller", "agent", "phone")
LEGEND = "          ──▶ the peer says to the edge    ◀── the edge says to the peer"


def heading(*titles: str) -> str:
    """The line above the columns."""
    return f"{'time':>8}  " + "".join(f"{title:<{WIDTH}}" for title in titles)


def ladder_line(after_s: float, leg: str, *, sent: bool, message: Request | Response) -> str:
    """The line of one message; a second phone and later ones share the phone column, with their number."""
    column, _, number = leg.partition(" ")
    place = " " * WIDTH * (COLUMNS.index(column) if column in COLUMNS else 0)
    arrow = "◀──" if sent else "──▶"
    return f"{after_s:8.3f}  {place}{arrow} {f'[{number}] ' if number else ''}{_describe(message)}"


def _describe(message: Request | Response) -> str:
    if isinstance(message, Request):
        return _describe_request(message)
    method = "" if message.cseq.method == "INVITE" else f" ({message.cseq.method})"
    return f"{message.status} {shorten(message.reason, REASON, placeholder='')}{method}"


def _describe_request(request: Request) -> str:
    match request.method:
        case "INVITE":
            return "re-INVITE" if request.to_tag else f"INVITE {_user(request.uri)}"
        case "NOTIFY":
            return f"NOTIFY {request.body.decode(errors='replace').strip().removeprefix('SIP/2.0 ')}"
        case "REFER":
            return f"REFER {(request.headers.get('Refer-To') or '').strip('<>')}"
        case method:
            return method


def _user(uri: str) -> str:
    try:
        return Uri.parse(uri).user or ""
    except ParseError:
        return ""
