"""ReferSubscription: the news owed to whoever sent a REFER (RFC 3515 §2.4, RFC 6665)."""

from __future__ import annotations

from proxy.sip.dialog import Dialog
from proxy.sip.message import Request
from proxy.sip.sipfrag import sipfrag

EXPIRES_S = 60
"""How long each NOTIFY says the subscription lives on; the next one says it anew."""


class ReferSubscription:
    """The subscription that an accepted REFER makes, from the notifier's end.

        202 --> ACTIVE ---NOTIFY of 100-199: active;expires=60---> ACTIVE
                  |
                  +-------NOTIFY of 200-699: terminated;reason=noresource---> over
                  +-------ended(): the peer refused a NOTIFY, or the dialog ended---> over

    The first NOTIFY (100 Trying) follows the 202 at once (§2.4.4).
    """

    def __init__(self, refer: Request, *, first: bool = True) -> None:
        """For this REFER; `first` says that no other came before it in its dialog.

        From the second on, the Event carries an id, the number of the REFER (§2.4.6).
        """
        self.event = "refer" if first else f"refer;id={refer.cseq.number}"
        self.over = False

    def notify(self, dialog: Dialog, status: int, reason: str | None = None) -> Request:
        """The next NOTIFY of the dialog, without Via and Contact; a final status is the last news.

        After the final one there is nothing to say: ValueError.
        """
        if self.over:
            raise ValueError(f"NOTIFY of {status} after the subscription is over")
        self.over = status >= 200
        state = "terminated;reason=noresource" if self.over else f"active;expires={EXPIRES_S}"
        request = dialog.request("NOTIFY")
        request.headers.add("Event", self.event)
        request.headers.add("Subscription-State", state)
        request.headers.add("Content-Type", "message/sipfrag;version=2.0")
        request.body = sipfrag(status, reason)
        return request

    def ended(self) -> None:
        """Nobody wants news any more: a NOTIFY was refused, or the dialog is gone (RFC 6665 §4.2.2)."""
        self.over = True
