"""ReferSubscription: the NOTIFYs that report to the sender of a REFER (RFC 3515 §2.4, RFC 6665)."""

from __future__ import annotations

from proxy.sip.dialog import Dialog
from proxy.sip.message import Request
from proxy.sip.sipfrag import sipfrag

EXPIRES_S = 60
"""Seconds until the subscription expires, as stated in each NOTIFY; each one renews it."""


class ReferSubscription:
    """The implicit subscription created by an accepted REFER, notifier side.

        202 --> ACTIVE ---NOTIFY of 100-199: active;expires=60---> ACTIVE
                  |
                  +-------NOTIFY of 200-699: terminated;reason=noresource---> over
                  +-------ended(): the peer refused a NOTIFY, or the dialog ended---> over

    The first NOTIFY (100 Trying) follows the 202 at once (§2.4.4).
    """

    def __init__(self, refer: Request, *, first: bool = True) -> None:
        """`first`: this is the first REFER of its dialog.

        From the second on, Event carries an id, the CSeq number of the REFER (§2.4.6).
        """
        self.event = "refer" if first else f"refer;id={refer.cseq.number}"
        self.over = False

    def notify(self, dialog: Dialog, status: int, reason: str | None = None) -> Request:
        """The next NOTIFY, without Via and Contact; a final `status` terminates the subscription.

        Raises ValueError once the subscription is over.
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
        """End the subscription: a NOTIFY was refused, or the dialog ended (RFC 6665 §4.2.2)."""
        self.over = True
