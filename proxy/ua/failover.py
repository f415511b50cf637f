"""The way of one INVITE from target to target, until one of them takes it (RFC 3263 §4.3)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from proxy.sip.dialog import Dialog, Essence
from proxy.sip.errors import ParseError, SipError
from proxy.sip.message import Request, Response
from proxy.sip.uri import Uri
from proxy.sip.values import retry_after
from proxy.transport.flow import Flow, Target, TransportFailed
from proxy.ua.ack import Acknowledgement
from proxy.ua.driver import Message
from proxy.ua.forks import MAX_FORKS, Forks, nobody
from proxy.ua.reason import EndReason
from proxy.ua.timer_queue import Alarm

if TYPE_CHECKING:
    from proxy.ua.core import UserAgentCore
    from proxy.ua.leg import Leg

TRY_S = 4.0
"""A target that has said nothing at all for so long, not even 100, is given up while another one waits.

The last one has the whole of Timer B. RFC 3263 §4.3 would wait that long for each: 32 s of silence for a
caller, who is gone by then.
"""


Acked = tuple[str | None, Acknowledgement]
"""The To tag of a 2xx, and its ACK."""


class Course:
    """The targets of one URI, the reachable ones first; each is tried once.

    The last is tried once more where its connection was there before, and breaks before it has said a word
    to this INVITE: it may have been dead for long.
    """

    __slots__ = (
        "_again", "_core", "_flow", "_heard", "_profile", "_sent", "_target", "_timer", "_uri", "_waiting",
    )  # fmt: skip

    def __init__(self, core: UserAgentCore, uri: str, profile: str = "") -> None:
        """`profile`: on whose terms TLS is spoken."""
        self._core, self._uri, self._profile = core, uri, profile
        self._waiting: list[Target] | None = None
        """Those not yet tried; None until it is known where the URI leads."""
        self._target: Target | None = None
        self._again = False
        """Whether the target may be tried once more."""
        self._timer: Alarm | None = None
        self._flow: Flow | None = None
        """The way to the target."""
        self._heard: int
        self._sent: float
        """How much it had brought before the INVITE went out, and when that was."""

    @property
    def more(self) -> bool:
        """True while there is a target that has not been tried."""
        return bool(self._waiting)

    async def next(self) -> Flow:
        """A flow to the next target that can be connected to; raises TransportFailed if none is left."""
        core, waiting = self._core, self._waiting
        if waiting is None:
            uri = Uri.parse(self._uri)
            if not uri.host:
                raise TransportFailed(f"a {uri.scheme} URI leads to no host")
            targets = await core.network.resolve(uri, self._profile)
            waiting = self._waiting = core.reachability.order(targets, core.alarms.now())
        error: TransportFailed | None = None
        while waiting:
            before, self._target = self._target, waiting.pop(0)
            try:
                flow = await core.network.connect(self._target)
                self._again = flow.reliable and flow.heard > 0 and self._target is not before
                self._flow, self._heard, self._sent = flow, flow.heard, core.alarms.now()
                return flow
            except TransportFailed as failure:
                error = failure
                self.failed(failure)
        raise error or TransportFailed(f"{Uri.parse(self._uri).host}: no address")

    def sending(self, unheard: Callable[[], None]) -> None:
        """The INVITE goes out now, and there are `more`; `unheard` is called if nothing comes back."""
        alarms = self._core.alarms
        self._timer = alarms.at(alarms.now() + TRY_S, unheard)

    def heard(self, status: int) -> None:
        """The target said something: it has its time now, and stands again if it is of use."""
        self._again = False
        if self._timer is not None:
            self.rest()
        if status not in (100, 503) and self._target is not None:  # a 100 may precede a 503
            self._core.reachability.answered(self._target)

    def failed(self, error: SipError | str) -> None:
        """The target could not be reached, or said nothing."""
        self.rest()
        if self._target is not None:
            self._core.reachability.failed(self._target, str(error), self._core.alarms.now())

    def broke(self, error: SipError) -> None:
        """The INVITE has failed without an answer: its connection is gone, or its time is over."""
        gone = isinstance(error, TransportFailed)
        if not (self._again and gone) or self._waiting or self._target is None:
            return self.failed(error)
        self.rest()
        self._waiting = [self._target]

    def unanswered(self) -> None:
        """Its time is over. A connection that has brought nothing all the while, of any call, is given up.

        Its other end may hang though its system acknowledges all that we send, or may wait for the rest of
        a message; and we would send it call after call.
        """
        flow = self._flow
        if flow is None or not flow.reliable or flow.heard != self._heard:
            return
        if (silent_s := self._core.alarms.now() - self._sent) >= TRY_S:
            self._flow, why = None, f"nothing came by the connection for {silent_s:.0f} s"
            self.failed(why)
            flow.fail(TransportFailed(why))

    def unavailable(self, response: Response) -> None:
        """The target answered 503: to be left alone for its Retry-After, else to be tried last (§21.5.4)."""
        if self._target is None:
            return
        seconds = retry_after(response.headers.get("Retry-After"))
        if seconds:
            self._core.reachability.hold(self._target, seconds, self._core.alarms.now())
        else:
            self.failed("503 Service Unavailable")

    def rest(self) -> None:
        """Wait for nothing any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class Forsaken:
    """The user of an INVITE that waits for no answer any more: a 2xx that comes late gets its ACK and a BYE.

    The one that was taken, if there is one, gets its ACK again. Of every INVITE that was answered this is all
    that is left while a 2xx may come (RFC 6026 §7.2).
    """

    __slots__ = ("_acks", "_essence", "_flow", "_forks", "_leg", "_reason")

    def __init__(
        self, leg: Leg, invite: Essence, flow: Flow, reason: EndReason, acks: tuple[Acked, ...] = ()
    ) -> None:
        """`reason`: of the BYEs; `acks`: of the 2xx that have come."""
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
        """As was to be expected."""

    def _acknowledgement(self, response: Response) -> Acknowledgement:
        leg, invite, reason = self._leg, self._essence.invite, self._reason
        forks = self._forks = self._forks or Forks(leg, nobody)
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
    """The dialog of a 2xx that is to be ended; what cannot be read in it is passed over."""
    try:
        return forks.answered(invite, response)
    except ParseError:
        for name in ("Contact", "Record-Route"):
            response.headers.remove(name)
        return forks.answered(invite, response)
