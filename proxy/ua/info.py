"""INFO within a dialog: key presses sent by signalling (the legacy use of RFC 6086 §8.4)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxy.ua.in_dialog_client import InDialogRequest
from proxy.ua.transactions import ServerTransaction

if TYPE_CHECKING:
    from proxy.ua.leg import Leg

RELAY, BARE = "application/dtmf-relay", "application/dtmf"
_KEYS = frozenset("0123456789*#ABCD")
_NAMED = {"10": "*", "11": "#", "12": "A", "13": "B", "14": "C", "15": "D"}
"""Some equipment sends the event number (RFC 4733 §3.2) instead of the key."""
USUAL_MS = 100
LONGEST_MS = 10_000


def take_info(leg: Leg, transaction: ServerTransaction) -> None:
    """Respond to an INFO, and report the key press in it to the leg's media."""
    request = transaction.request
    if request.headers.get("Info-Package") is not None:
        return transaction.reply(469, [("Recv-Info", "")])  # RFC 6086 §4.2.2: we support no Info Package
    if not request.body:
        return transaction.reply(200)  # RFC 2976 §2.2: an empty INFO checks that the dialog is alive
    if request.content_type not in (RELAY, BARE):
        return transaction.reply(415, [("Accept", f"{RELAY}, {BARE}")])
    pressed = key_in(request.body, relay=request.content_type == RELAY)
    if pressed is None:
        return transaction.reply(400)
    transaction.reply(200)
    leg.media.key_pressed(*pressed)


def send_key(leg: Leg, key: str, seconds: float) -> None:
    """Send a key press to the peer; the response is ignored. Raises LegEnded."""
    dialog = leg.live_dialog()
    info = dialog.request("INFO")
    info.headers.add("Content-Type", RELAY)
    info.body = f"Signal={key}\r\nDuration={round(1000 * seconds)}\r\n".encode()
    InDialogRequest(leg, dialog, info, lambda final: None).start()


def key_in(body: bytes, *, relay: bool) -> tuple[str, float] | None:
    """The key and how many seconds it was held; None if there is no known key.

    `application/dtmf-relay` has ``Signal=5`` and ``Duration=160`` (ms), `application/dtmf` the key alone.
    """
    text = body[:256].decode("ascii", "replace")
    fields = dict(_field(line) for line in text.splitlines()) if relay else {}
    signal = fields.get("signal", "" if relay else text.strip()).upper()
    key = _NAMED.get(signal, signal)
    if key not in _KEYS:
        return None
    duration = fields.get("duration", "")
    held = int(duration) if duration.isascii() and duration.isdigit() and len(duration) < 6 else USUAL_MS
    return key, min(held, LONGEST_MS) / 1000


def _field(line: str) -> tuple[str, str]:
    name, _, value = line.partition("=")
    return name.strip().lower(), value.strip()
