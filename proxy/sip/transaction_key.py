"""Which transaction a message belongs to (RFC 3261 §17.1.3, §17.2.3)."""

from __future__ import annotations

from typing import NamedTuple

from proxy.sip.errors import ParseError
from proxy.sip.message import Request, Response
from proxy.sip.values import cseq, made, top_of

MAGIC_COOKIE = "z9hG4bK"
"""How every branch made by RFC 3261 begins (§8.1.1.7)."""

_COOKIE = MAGIC_COOKIE.lower()


class TransactionKey(NamedTuple):
    """Identity of a transaction; client and server keys live in different tables."""

    branch: str
    """Branch of the top Via, lower-case; empty for an RFC 2543 peer."""
    method: str
    """Method of the request that made the transaction."""
    sent_by: str = ""
    """Who sent it, lower-case: branches are unique only within one sender. Empty in client keys."""
    legacy: tuple[str, ...] = ()
    """What identifies an RFC 2543 request instead: Request-URI, From tag, Call-ID, CSeq number, top Via.
    Of that the parameters, less what we add to them."""


def client_key(message: Request | Response) -> TransactionKey:
    """Key of the client transaction of a request we send or a response we receive (§17.1.3).

    Raises ParseError if the top Via has no branch: no request of ours lacks one.
    """
    first = message.headers.first
    top = top_of(via) if (via := first.get("via")) and "," not in via else message.top
    if not top.branch:
        raise ParseError("top Via has no branch")
    return made(TransactionKey, (top.branch, cseq(first["cseq"]).method, "", ()))


def server_key(request: Request, method: str = "") -> TransactionKey:
    """Key of the server transaction of a received request; an ACK has that of its INVITE (§17.2.3).

    `method`: of the request that made the transaction, where that is another. An ACK for a 2xx is a
    transaction of its own, so its key matches none.
    """
    via = request.headers.first.get("via")
    top = top_of(via) if via and "," not in via else request.top
    branch, method = top.branch, method or ("INVITE" if request.method == "ACK" else request.method)
    # The cookie alone tells no transactions apart (RFC 4475 §3.2.1).
    if branch.startswith(_COOKIE) and branch != _COOKIE:
        return made(TransactionKey, (branch, method, top.sent_by, ()))
    # §17.2.3, second half. The To tag is left out: an ACK carries that of the response, the INVITE none.
    # What we note in the Via ourselves does not count: a CANCEL is looked up with it, its INVITE without.
    marks = str(request.via.params.without("received").without("rport"))
    legacy = (request.uri, request.from_tag or "", request.call_id, str(request.cseq.number), marks)
    return TransactionKey("", method, top.sent_by, legacy)


def invite_key_of(cancel: Request) -> TransactionKey:
    """Key of the INVITE server transaction that a CANCEL means (§9.2)."""
    return server_key(cancel, "INVITE")
