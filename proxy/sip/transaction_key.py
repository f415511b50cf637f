"""Which transaction a message belongs to (RFC 3261 §17.1.3, §17.2.3)."""

from __future__ import annotations

from typing import NamedTuple

from proxy.sip.errors import ParseError
from proxy.sip.message import Request, Response
from proxy.sip.values import new_tuple, parse_cseq, parse_top_via

MAGIC_COOKIE = "z9hG4bK"
"""Prefix of every branch of an RFC 3261 element (§8.1.1.7)."""

_COOKIE = MAGIC_COOKIE.lower()


class TransactionKey(NamedTuple):
    """What identifies a transaction; client and server transactions are kept in separate tables."""

    branch: str
    """Branch of the top Via, lower-case; empty for an RFC 2543 peer."""
    method: str
    """Method of the request that created the transaction."""
    sent_by: str = ""
    """The sent-by of the Via, lower-case: branches are unique per sender only. Empty in client keys."""
    legacy: tuple[str, ...] = ()
    """What identifies an RFC 2543 request instead: Request-URI, From tag, Call-ID, CSeq number, and the
    parameters of the top Via without those we add."""


def client_key(message: Request | Response) -> TransactionKey:
    """Key of the client transaction for a request we send or a response we receive (§17.1.3).

    Raises ParseError if the top Via has no branch; our own requests always have one.
    """
    first = message.headers.first
    top = parse_top_via(via) if (via := first.get("via")) and "," not in via else message.top_via
    if not top.branch:
        raise ParseError("top Via has no branch")
    return new_tuple(TransactionKey, (top.branch, parse_cseq(first["cseq"]).method, "", ()))


def server_key(request: Request, method: str = "") -> TransactionKey:
    """Key of the server transaction for a received request; an ACK has that of its INVITE (§17.2.3).

    `method` overrides the method in the key (CANCEL looks up its INVITE). The key of an ACK for a 2xx
    matches no transaction, since that ACK is one of its own.
    """
    via = request.headers.first.get("via")
    top = parse_top_via(via) if via and "," not in via else request.top_via
    branch, method = top.branch, method or ("INVITE" if request.method == "ACK" else request.method)
    # A branch that is only the cookie identifies nothing (RFC 4475 §3.2.1).
    if branch.startswith(_COOKIE) and branch != _COOKIE:
        return new_tuple(TransactionKey, (branch, method, top.sent_by, ()))
    # §17.2.3, second half. The To tag is left out: an ACK carries that of the response, the INVITE none.
    # The received and rport that we add are ignored: a CANCEL is looked up with them, its INVITE without.
    marks = str(request.via.params.without("received").without("rport"))
    legacy = (request.uri, request.from_tag or "", request.call_id, str(request.cseq.number), marks)
    return TransactionKey("", method, top.sent_by, legacy)


def invite_key_of(cancel: Request) -> TransactionKey:
    """Key of the INVITE server transaction that this CANCEL refers to (§9.2)."""
    return server_key(cancel, "INVITE")
