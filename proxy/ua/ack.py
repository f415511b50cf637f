"""The ACK for a 2xx: a message of its own, outside any transaction (RFC 3261 §13.2.2.4)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import structlog

from proxy.sip.dialog import Dialog
from proxy.sip.errors import SipError
from proxy.sip.message import Request
from proxy.transport.flow import Flow
from proxy.ua.route import leads_to_next_hop, reach, verified_name

if TYPE_CHECKING:
    from proxy.ua.core import UserAgentCore

log = structlog.get_logger("screendoor")


class Acknowledgement:
    """The ACK for one 2xx, resent whenever the 2xx is; routed like the dialog's requests.

    If the 2xx has an offer, the ACK carries our answer (§13.2.2.4) and is `held` until that is known.
    """

    __slots__ = ("_ack", "_core", "_flow", "_kept", "_next_hop", "_on_sent", "_profile", "_reaching", "held")

    def __init__(
        self,
        core: UserAgentCore,
        dialog: Dialog,
        invite: Request,
        flow: Flow,
        sent: Callable[[Flow], None],
        *,
        profile: str = "",
        kept: bool = False,
        held: bool = False,
    ) -> None:
        """`sent` is called once, with the flow to the dialog's next hop; see `leads_to_next_hop`."""
        self._core, self._flow, self._profile = core, flow, profile
        self._on_sent: Callable[[Flow], None] | None = sent
        self._kept = kept
        self._next_hop = dialog.next_hop
        self._ack: Request | bytes = dialog.ack(invite)
        self._reaching = False
        self.held = held

    def answer(self, sdp: bytes) -> None:
        """Send it with this SDP."""
        assert isinstance(self._ack, Request)
        if sdp:
            self._ack.headers.add("Content-Type", "application/sdp")
            self._ack.body = sdp
        self.held = False
        self.send()

    def send(self) -> None:
        if self.held:
            return
        if leads_to_next_hop(self._flow, self._next_hop, kept=self._kept):
            self._send()
        elif not self._reaching:
            self._reaching = True
            self._core.spawn(self._reach())

    async def _reach(self) -> None:
        """Connect to the next hop: it is not where the INVITE went, or the connection is gone (§12.2.1.1)."""
        try:
            self._flow = await reach(
                self._core.network,
                self._next_hop,
                self._flow.transport,
                profile=self._profile,
                peer=verified_name(self._flow),
                prefer=self._flow.remote,
            )
        except SipError as error:
            log.debug("ack leaves its way", next_hop=self._next_hop, reason=str(error))
        self._reaching = False
        self._send()

    def _send(self) -> None:
        if isinstance(self._ack, Request):
            self._ack = self._core.send_ack(self._ack, self._flow)
        else:
            self._core.emit_again(self._flow, self._ack)
        if self._on_sent is not None:
            on_sent, self._on_sent = self._on_sent, None
            on_sent(self._flow)
