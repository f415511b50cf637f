"""The INVITE we send: whom to call and as whom, and how to rewrite it after a refusal."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from proxy.sip.dialog import InviteEssence
from proxy.sip.digest import DigestClient
from proxy.sip.errors import SipError
from proxy.sip.headers import Headers
from proxy.sip.message import Request, Response
from proxy.sip.uri import Uri
from proxy.transport.flow import Flow
from proxy.ua.capabilities import RELIABLY, SDP, wants_reliability
from proxy.ua.errors import OfferRefused
from proxy.ua.session_keeper import INVITE_HEADERS

if TYPE_CHECKING:
    from proxy.ua.leg import Leg

NO_SUCH_MEDIA = (415, 488, 606)
"""Refusals of the offered media (§21.4.13, §21.4.26, §21.6.4)."""

CurrentFlow = Callable[[Flow], Flow | None]


class Outgoing(NamedTuple):
    """Parameters of an outgoing INVITE."""

    uri: str
    """Request-URI; also the To URI, without port and transport."""
    identity: str
    """From, a name-addr without tag."""
    headers: tuple[tuple[str, str], ...] = ()
    credentials: DigestClient | None = None
    """Answers a 401 or 407, where the peer may send one."""
    profile: str = ""
    """Name of the TLS profile to use."""
    max_forwards: int = 70
    """One less than in the caller's INVITE, so that two instances calling each other stop (RFC 7332)."""
    flow: Flow | None = None
    """The flow for this INVITE and its whole dialog (RFC 5626 §5.3); None: resolved from the URI."""
    current_flow: CurrentFlow | None = None
    """Returns the peer's current flow, given the last one; None if that is closed and none is known."""
    other_flow: CurrentFlow | None = None
    """Returns the peer's next flow, given one over which nothing comes; None if it has no other."""
    alternative: Callable[[Response], Outgoing | None] | None = None
    """Returns another way to make a call that was refused; None accepts the refusal."""


class InviteDraft:
    """The INVITE of a leg, as it stands. Rewritten, it is the same call with the next CSeq (§8.1.3.5)."""

    __slots__ = ("_call_id", "_credentials", "_cseq", "_identity", "_leg", "outgoing", "request")

    request: Request
    """As written last."""

    def __init__(self, leg: Leg, outgoing: Outgoing) -> None:
        self._leg, self.outgoing = leg, outgoing
        self._call_id, self._cseq = leg.new_call_id(), 1
        self._identity = f"{outgoing.identity};tag={leg.core.ids.tag()}"
        self._credentials: tuple[tuple[str, str], ...]
        """Header lines of the credentials in the current request."""

    def write(self, flow: Flow, sdp: bytes) -> Request:
        """Write the INVITE with this offer, to be sent over this flow."""
        outgoing, leg = self.outgoing, self._leg
        hops, from_, to = str(outgoing.max_forwards), self._identity, _to(outgoing.uri)
        call_id, cseq, contact = self._call_id, f"{self._cseq} INVITE", leg.contact(flow)
        headers = Headers.from_text(
            f"Max-Forwards: {hops}\r\nFrom: {from_}\r\nTo: {to}\r\n"
            f"Call-ID: {call_id}\r\nCSeq: {cseq}\r\nContact: {contact}",
            {
                "max-forwards": hops,
                "from": from_,
                "to": to,
                "call-id": call_id,
                "cseq": cseq,
                "contact": contact,
            },
        )
        asked = leg.keeper.invite_headers() if leg.has_session_timer else INVITE_HEADERS
        headers.extend_constant((*leg.capabilities(), *asked, *(SDP if sdp else ())))
        if outgoing.headers:
            headers.extend(outgoing.headers)
        self.request, self._credentials = Request("INVITE", outgoing.uri, headers, sdp), ()
        return self.request

    def essence(self) -> InviteEssence:
        """The little that is needed to reconstruct the INVITE."""
        return InviteEssence(self.outgoing.uri, self._identity, self._cseq, self._credentials)

    def rewrite(self, refusal: Response, flow: Flow) -> Request | None:
        """Rewrite it as the refusal asks, or else under another identity; None to accept the refusal."""
        asked_for = self._as_asked(refusal, flow)
        return asked_for if asked_for is not None else self._under_other_identity(refusal, flow)

    def _as_asked(self, refusal: Response, flow: Flow) -> Request | None:
        """Add what the refusal asks for: credentials, another offer, an option or a longer interval."""
        status, leg = refusal.status, self._leg
        if status in (401, 407):
            return self._with_credentials(refusal, flow)
        if status in NO_SUCH_MEDIA or (status == 400 and not self.request.body):
            return self._with_other_offer(flow)
        if wants_reliability(refusal) and RELIABLY not in self.outgoing.headers:
            headers = (*self.outgoing.headers, RELIABLY)
            self.outgoing = self.outgoing._replace(headers=headers)
            return self._with_next_cseq(flow)
        return self._with_next_cseq(flow) if status == 422 and leg.keeper.accepts_interval(refusal) else None

    def _under_other_identity(self, refusal: Response, flow: Flow) -> Request | None:
        """Call under another identity where that may help, as a new request (§21.4.4).

        Not once the phone has rung: the refusal is then not about the caller's identity.
        """
        leg, alternative = self._leg, self.outgoing.alternative
        outgoing = alternative(refusal) if alternative is not None and leg.ringing is None else None
        if outgoing is None:
            return None
        self.outgoing, self._call_id, self._cseq = outgoing, leg.new_call_id(), 1
        leg.credentials = outgoing.credentials
        self._identity = f"{outgoing.identity};tag={leg.core.ids.tag()}"
        return self.write(flow, self.request.body)

    def _with_credentials(self, challenge: Response, flow: Flow) -> Request | None:
        """Answer a challenge (§22.2)."""
        credentials = self.outgoing.credentials
        if credentials is None:
            return None
        try:
            answer = credentials.authorize(self.request, challenge, self._leg.core.ids.token())
        except SipError:
            return None
        request = self._with_next_cseq(flow)
        request.headers.extend(answer)
        self._credentials = tuple(answer)
        return request

    def _with_other_offer(self, flow: Flow) -> Request | None:
        """Make another offer; not once the phone has rung."""
        if self._leg.ringing is not None or not self._leg.media.fall_back():
            return None
        try:
            sdp = self._leg.media.offer()
        except OfferRefused:
            return None
        return self._with_next_cseq(flow, sdp)

    def _with_next_cseq(self, flow: Flow, sdp: bytes | None = None) -> Request:
        """The same INVITE again, with another offer if one is given."""
        self._cseq += 1
        return self.write(flow, self.request.body if sdp is None else sdp)


@lru_cache(maxsize=256)
def _to(uri: str) -> str:
    return f"<{Uri.parse(uri).logical}>"
