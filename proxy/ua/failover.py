"""Client-side failover across the resolved targets of a URI (RFC 3263 §4.3), and late 2xx responses."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from proxy.sip.dialog import Dialog, InviteEssence
from proxy.sip.errors import ParseError, SipError
from proxy.sip.message import Request, Response
from proxy.sip.uri import Uri
from proxy.sip.values import retry_after
from proxy.transport.flow import Flow, Target, TransportFailed
from proxy.ua.ack import Acknowledgement
from proxy.ua.driver import Message
from proxy.ua.forks import MAX_FORKS, Forks, no_op
from proxy.ua.reason import EndReason
from proxy.ua.route import TARGET_TIMEOUT_S
from proxy.ua.timer_queue import Timer

if TYPE_CHECKING:
    from proxy.ua.core import UserAgentCore
    from proxy.ua.leg import Leg

Acked = tuple[str | None, Acknowledgement]
"""The To tag of a 2xx, and its ACK."""


class Failover:
    """The targets of one URI, healthy ones first; each is tried once.

    The last one is tried a second time if it was reached over an existing connection that broke before any
    response to this INVITE: such a connection may have been dead for a long time.
    """

    __slots__ = (
        "_core", "_flow", "_heard", "_may_retry", "_profile", "_sent", "_target", "_timer", "_untried",
        "_uri",
    )  # fmt: skip

    def __init__(self, core: UserAgentCore, uri: str, profile: str = "") -> None:
        """`profile`: name of the TLS profile to use."""
        self._core, self._uri, self._profile = core, uri, profile
        self._untried: list[Target] | None = None
        """Targets not yet tried; None before the URI is resolved."""
        self._target: Target | None = None
        self._may_retry = False
        """Whether the current target may be tried a second time."""
        self._timer: Timer | None = None
        self._flow: Flow | None = None
        """The flow to the current target."""
        self._heard: int
        self._sent: float
        """When the INVITE was sent; `_heard` is how many messages the flow had brought before that."""

    @property
    def has_more(self) -> bool:
        """True while there is a target that has not been tried."""
        return bool(self._untried)

    async def connect_next(self) -> Flow:
        """Connect to the next reachable target, return its flow; raises TransportFailed if there is none."""
        core, untried = self._core, self._untried
        if untried is None:
            uri = Uri.parse(self._uri)
            if not uri.host:
                raise TransportFailed(f"a {uri.scheme} URI leads to no host")
            targets = await core.network.resolve(uri, self._profile)
            untried = self._untried = core.target_health.order(targets, core.timer_queue.now())
        error: TransportFailed | None = None
        while untried:
            before, self._target = self._target, untried.pop(0)
            try:
                flow = await core.network.connect(self._target)
                self._may_retry = flow.reliable and flow.received_count > 0 and self._target is not before
                self._flow, self._heard, self._sent = flow, flow.received_count, core.timer_queue.now()
                return flow
            except TransportFailed as failure:
                error = failure
                self.failed(failure)
        raise error or TransportFailed(f"{Uri.parse(self._uri).host}: no address")

    def start_timer(self, on_timeout: Callable[[], None]) -> None:
        """The INVITE is about to be sent with more targets left: call `on_timeout` if no response comes."""
        timer_queue = self._core.timer_queue
        self._timer = timer_queue.at(timer_queue.now() + TARGET_TIMEOUT_S, on_timeout)

    def responded(self, status: int) -> None:
        """The target has responded: stop its timer, and mark it healthy if the status shows that it is."""
        self._may_retry = False
        if self._timer is not None:
            self.stop_timer()
        if status not in (100, 503) and self._target is not None:  # a 100 may precede a 503
            self._core.target_health.answered(self._target)

    def failed(self, error: SipError | str) -> None:
        """The target could not be reached, or did not respond."""
        self.stop_timer()
        if self._target is not None:
            self._core.target_health.failed(self._target, str(error), self._core.timer_queue.now())

    def failed_silently(self, error: SipError) -> None:
        """The INVITE failed without a response: its connection is gone, or it timed out."""
        gone = isinstance(error, TransportFailed)
        if not (self._may_retry and gone) or self._untried or self._target is None:
            return self.failed(error)
        self.stop_timer()
        self._untried = [self._target]

    def close_if_silent(self) -> None:
        """The call was not answered in time: close a connection that has brought nothing since the INVITE.

        The peer's process may hang, or wait for the rest of a message, while its kernel acknowledges all that
        we send. Further calls would use the same connection.
        """
        flow = self._flow
        if flow is None or not flow.reliable or flow.received_count != self._heard:
            return
        if (silent_s := self._core.timer_queue.now() - self._sent) >= TARGET_TIMEOUT_S:
            self._flow, why = None, f"nothing came by the connection for {silent_s:.0f} s"
            self.failed(why)
            flow.fail(TransportFailed(why))

    def unavailable(self, response: Response) -> None:
        """The target responded 503: avoid it for its Retry-After, or else try it last (§21.5.4)."""
        if self._target is None:
            return
        seconds = retry_after(response.headers.get("Retry-After"))
        if seconds:
            self._core.target_health.hold(self._target, seconds, self._core.timer_queue.now())
        else:
            self.failed("503 Service Unavailable")

    def stop_timer(self) -> None:
        """Cancel the timer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class Late2xxUser:
    """The transaction user that stays behind for late 2xx responses to an INVITE (RFC 6026 §7.2).

    A 2xx that makes a new dialog gets an ACK and a BYE; a retransmission of one seen before gets its ACK
    again. For an answered INVITE this is all that is kept.
    """

    __slots__ = ("_acks", "_essence", "_flow", "_forks", "_leg", "_reason")

    def __init__(
        self, leg: Leg, invite: InviteEssence, flow: Flow, reason: EndReason, acks: tuple[Acked, ...] = ()
    ) -> None:
        """`reason`: sent in the BYEs; `acks`: those of the 2xx responses seen so far."""
        self._leg, self._essence, self._flow = leg, invite, flow
        self._reason, self._acks = reason, acks
        self._forks: Forks | None = None

    def received(self, message: Message) -> None:
        assert isinstance(message, Response)
        if message.status // 100 != 2:
            return
        tag = message.to_tag
        ack = next((ack for known, ack in self._acks if known == tag), None)
        if ack is None:
            if len(self._acks) >= MAX_FORKS:
                return
            ack = self._acknowledgement(message)
            self._acks = (*self._acks, (tag, ack))
        ack.send()

    def failed(self, error: SipError) -> None:
        """Expected, and of no consequence."""

    def _acknowledgement(self, response: Response) -> Acknowledgement:
        leg, invite, reason = self._leg, self._essence.invite, self._reason
        forks = self._forks = self._forks or Forks(leg, no_op)
        dialog = dialog_of(forks, invite, response)
        return Acknowledgement(
            leg.core,
            dialog,
            invite,
            self._flow,
            lambda flow: forks.hang_up(dialog, reason, flow),
            profile=leg.profile,
            kept=leg.keeps_flow,
        )


def dialog_of(forks: Forks, invite: Request, response: Response) -> Dialog:
    """The dialog of a 2xx, to be ended with a BYE; an unreadable Contact or Record-Route is ignored."""
    try:
        return forks.answered(invite, response)
    except ParseError:
        for name in ("Contact", "Record-Route"):
            response.headers.remove(name)
        return forks.answered(invite, response)
