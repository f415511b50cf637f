"""In-dialog requests that affect neither the session nor its end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxy.ua.capabilities import UNDERSTOOD
from proxy.ua.info import take_info
from proxy.ua.transactions import ServerTransaction

if TYPE_CHECKING:
    from proxy.ua.leg import Leg


def serve(leg: Leg, transaction: ServerTransaction) -> None:
    """Respond to one of them; raises ParseError."""
    match transaction.request.method:
        case "REFER" if leg.ended.done():
            transaction.reply(481)
        case "REFER" if leg.refers is not None:
            leg.refers.receive(leg, transaction)
        case "REFER":
            leg.log.warning("transfer refused", why="only the agent transfers calls")
            transaction.reply(603)
        case "OPTIONS":
            able = [*leg.capabilities()[:1], ("Supported", ", ".join(UNDERSTOOD))]
            transaction.reply(200, [*able, ("Accept", "application/sdp")])
        case "INFO":
            take_info(leg, transaction)
        case "NOTIFY":
            transaction.reply(481)  # RFC 6665 §4.1.3: we subscribed to nothing
        case _:
            transaction.reply(405, leg.capabilities()[:1])
