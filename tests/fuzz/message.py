"""Fuzz target for parse_message: a message or ParseError; a parsed one can be encoded and answered."""

import contextlib
import sys
from pathlib import Path

import atheris

sys.path.insert(0, str(Path(__file__).parents[2]))

with atheris.instrument_imports(include=["proxy.sip", "proxy.ua.request_checks"]):
    from proxy.sip.body import reduce_to_sdp
    from proxy.sip.errors import ParseError
    from proxy.sip.message import Request, parse_message
    from proxy.sip.transaction_key import client_key, invite_key_of, server_key
    from proxy.ua.request_checks import refusal

from tests.fuzz.target import fuzz, torture_messages

NAMES = (
    "via", "vias", "via_count", "from_", "to", "from_tag", "to_tag", "call_id", "cseq", "contact", "routes",
    "record_routes", "max_forwards", "content_type", "target",
)  # fmt: skip


def one(data: bytes) -> None:
    try:
        message = parse_message(data)
    except ParseError as error:
        if error.partial is not None:
            error.partial.reply(error.status, to_tag="x").encode()
        return
    for name in NAMES:
        with contextlib.suppress(ParseError, AttributeError):
            getattr(message, name)
    written = message.encode()
    assert parse_message(written).encode() == written
    if isinstance(message, Request):
        for key in (server_key, invite_key_of):
            with contextlib.suppress(ParseError):
                key(message)
        message.reply(200, to_tag="x").encode()
        reduce_to_sdp(message)
        refusal(message, ("timer",))
    else:
        with contextlib.suppress(ParseError):
            client_key(message)
        reduce_to_sdp(message)


if __name__ == "__main__":
    fuzz(one, torture_messages())
