"""What is done with every message right at the door, before anybody asks what it wants."""

from __future__ import annotations

from proxy.sip.errors import ParseError
from proxy.sip.key import TransactionKey, client_key, server_key
from proxy.sip.message import Request, Response
from proxy.sip.values import tag_of


def read(message: Request | Response) -> TransactionKey:
    """Read once what everybody behind the door relies on; raises ParseError, with whom an answer is owed."""
    try:
        first = message.headers.first
        _ = (tag_of(first["from"]), tag_of(first["to"]), message.call_id)
        if isinstance(message, Response):
            if message.via_count > 1:
                raise ParseError("response with the Via of another")  # §8.1.3.3
            return client_key(message)
        _ = (message.target, message.max_forwards)
        if message.method == "INVITE" and message.contact is None:
            raise ParseError("INVITE without a Contact")
        return server_key(message)
    except ParseError as error:
        error.partial = message if isinstance(message, Request) else None
        raise
