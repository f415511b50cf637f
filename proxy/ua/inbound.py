"""Checks of every received message, before it is dispatched."""

from __future__ import annotations

from proxy.sip.dialog import DialogId
from proxy.sip.errors import ParseError
from proxy.sip.fields import parse_max_forwards
from proxy.sip.message import Request, Response
from proxy.sip.transaction_key import TransactionKey, client_key, server_key
from proxy.sip.uri import check_uri
from proxy.sip.values import new_tuple, tag_of


def routing_keys(message: Request | Response) -> tuple[TransactionKey, DialogId | None]:
    """Extract the transaction key and, for a request, the dialog id of a message.

    Everything that dispatch relies on is parsed here, once. Raises ParseError, with the request if it must be
    answered.
    """
    try:
        headers, first = message.headers, message.headers.first
        from_tag, to_tag = tag_of(first["from"]), tag_of(first["to"])
        call_id = first["call-id"]
        if not call_id or " " in call_id or "\t" in call_id:
            _ = message.call_id  # raises with the precise error
        if isinstance(message, Response):
            if ("," in first["via"] or headers.more is not None) and message.via_count > 1:
                raise ParseError("response with the Via of another")  # §8.1.3.3
            return client_key(message), None
        check_uri(message.uri)
        if hops := first.get("max-forwards"):
            parse_max_forwards(hops)
        if message.method == "INVITE" and message.contact is None:
            raise ParseError("INVITE without a Contact")
        return server_key(message), new_tuple(DialogId, (call_id, to_tag or "", from_tag or ""))
    except ParseError as error:
        error.partial = message if isinstance(message, Request) else None
        raise
