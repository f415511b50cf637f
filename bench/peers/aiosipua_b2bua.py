"""A B2BUA made with aiosipua, for UDP ports NEAR (calls in) and FAR (calls out).

Run by the peers' own Python. It uses only aiosipua's documented API: transactions, dialogs and
retransmissions are aiosipua's own.
"""

import asyncio
import contextlib
import sys
from collections.abc import Callable

from aiosipua import IncomingCall, SipRequest, SipUAC, SipUAS, UdpSipTransport

HOST = "127.0.0.1"


class B2bua:
    """Answers when the callee does, and hangs up when either side does."""

    def __init__(self, near: int, far: int) -> None:
        self.far = (HOST, far)
        transport = UdpSipTransport(local_addr=(HOST, near))
        self.uac = SipUAC(transport)
        self.uas = SipUAS(transport, uac=self.uac)
        self.uas.on_invite, self.uas.on_bye = self.invited, self.ended
        self.partners: dict[str, tuple[str, Callable[[], object]]] = {}
        """By the Call-ID of one leg: how to hang up the other."""

    def invited(self, incoming: IncomingCall) -> None:
        """A new call: call the callee, and relay its answer."""
        to = f"sip:callee@{HOST}:{self.far[1]}"
        outgoing = self.uac.send_invite(incoming.caller, to, self.far, incoming.sdp_offer)
        outgoing.on_ringing = lambda _: incoming.ringing()
        outgoing.on_answer = lambda answered: incoming.accept(answered.sdp_answer)
        outgoing.on_rejected = lambda _, status, reason: incoming.reject(status, reason)
        self.partners[incoming.call_id] = outgoing.call_id, lambda: outgoing.hangup(self.uac)
        self.partners[outgoing.call_id] = incoming.call_id, incoming.hangup

    def ended(self, call: IncomingCall, bye: SipRequest) -> None:
        """One leg has hung up: hang up the other."""
        if call.call_id in self.partners:
            other, hang_up = self.partners.pop(call.call_id)
            self.partners.pop(other, None)
            hang_up()


async def main() -> None:
    near, far = map(int, sys.argv[1:])
    b2bua = B2bua(near, far)
    await b2bua.uas.start()
    await asyncio.Event().wait()


with contextlib.suppress(KeyboardInterrupt):
    asyncio.run(main())
