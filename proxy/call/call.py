"""The story of one call, told from its first INVITE to its last BYE."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import assert_never

from proxy.call.border import Identity, towards_agent, towards_phone
from proxy.call.first import first, forever
from proxy.call.leg_media import LegMedia
from proxy.call.outcome import OnFailure, Result, news_of, status_of
from proxy.call.record import CallRecord, WallClock
from proxy.call.routing import Destination, Number
from proxy.call.scribe import Scribe
from proxy.media.mode import MediaSession
from proxy.sip.errors import SipError
from proxy.transport.flow import TransportFailed
from proxy.ua.core import UserAgentCore
from proxy.ua.errors import LegEnded, LimitReached, OfferRefused, Rejected, TransactionTimeout
from proxy.ua.leg import Leg
from proxy.ua.reason import EndReason
from proxy.ua.refer import Refer
from proxy.ua.transactions import ServerTransaction
from proxy.ua.up import ending, limit
from screening.contract import (
    Ask,
    Caller,
    Connect,
    Decline,
    News,
    Refuse,
    Ring,
    Screener,
    Screening,
    TakeMessage,
    Undecided,
)

NOT_TAKEN = (Rejected, TransportFailed, TransactionTimeout, OfferRefused, LimitReached)
"""How an attempt to reach the agent or the phone fails without hurting the caller."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What every call needs of the house it happens in."""

    core: UserAgentCore
    screener: Screener
    host: str
    """Our public name, in the From of the agent leg."""
    voicemail_dir: Path
    wall_clock: WallClock


class Call:
    """All legs of one call and its story."""

    def __init__(
        self, around: Surroundings, name: str, number: Number, media: MediaSession, invite: ServerTransaction
    ) -> None:
        self._around, self._number, self._media = around, number, media
        self._identity = Identity.of(invite.request)
        self.record = CallRecord(name, self._identity.number, number.dialed, around.wall_clock())
        self._scribe = Scribe(self.record, around.wall_clock)
        self._legs: dict[str, Leg] = {}
        self._screening: Screening | None = None
        self._agent: Leg | None = None
        self._caller_answered = self._phone_tried = False
        self._invite = invite

    async def run(self) -> CallRecord:
        """Screen the caller with the agent; ring the phone when the agent says so; bridge; end."""
        try:
            with self._leg("caller", peer=self._invite.request.from_.raw_uri) as caller:
                self._caller = caller
                caller.invited(self._invite)
                async with caller.up():
                    await self._admit(caller)
        except LegEnded as end:
            self._scribe.ended_by(end)
        finally:
            self._media.close()
            self._scribe.close(self._screening)
        return self.record

    def end(self, reason: EndReason) -> None:
        """End the call from outside its story; `run` returns soon after."""
        if caller := self._legs.get("caller"):
            caller.end(reason)

    # The plan.

    async def _admit(self, caller: Leg) -> None:
        caller.trying()
        try:
            caller.consider()
        except OfferRefused as refusal:
            self._scribe.settle(Result.REFUSED, str(refusal))
            return caller.end(EndReason.OVERLOADED if refusal.status == 503 else EndReason.MEDIA_REFUSED)
        plan = await self._around.screener.plan(self._who())
        match plan:
            case Ask():
                caller.progress(180)
                await self._screened(plan)
            case Ring(reason):
                caller.progress(180)
                await self._unscreened(reason, OnFailure.RING)
            case Refuse(why):
                self._scribe.settle(Result.REFUSED, why.value)
                caller.end(EndReason.DECLINED)
            case _:
                assert_never(plan)

    def _who(self) -> Caller:
        agent = self._number.agent
        return Caller(
            call=self.record.call,
            number=self._identity.number,
            name=self._identity.name,
            dialed=self._number.dialed,
            agent=agent.name if agent else "",
            at=self.record.began,
        )

    # The agent.

    async def _screened(self, ask: Ask) -> None:
        """The agent talks to the caller until there is a verdict, or none can be had."""
        self._screening = ask.screening
        assert self._number.agent is not None
        with self._leg("agent", peer=self._number.agent.uri, takes_refer=True) as agent:
            self._agent = agent
            try:
                async with limit(ask.patience_s, EndReason.NO_ANSWER):
                    await agent.invite(
                        towards_agent(self._identity, self._number.agent, ask.headers, self._around.host)
                    )
            except NOT_TAKEN as failure:
                agent.end(EndReason.NO_ANSWER)
                without: str | None = f"the agent did not take the call: {failure}"
            else:
                self._scribe.answered("agent")
                ask.screening.tell(News.AGENT_ANSWERED)
                without = await self._conversation(agent, ask.screening)
            if without is not None:
                await self._unscreened(without, self._number.on_failure)

    async def _conversation(self, agent: Leg, screening: Screening) -> str | None:
        """Act on one verdict after another; returns why the call must do without one, or None."""
        await self._answer_caller("agent")
        while True:
            step = await self._verdict(agent, screening)
            match step:
                case Refer():
                    await self._referred(step, screening)
                case Connect():
                    self._scribe.decided("ALLOW", "verdict", step)
                    await self._ring(self._number.destinations)
                case Decline():
                    self._scribe.decided("REJECT", "verdict", step)
                    self._scribe.settle(Result.DECLINED, step.reason)
                    return None
                case TakeMessage():
                    self._scribe.decided("VOICEMAIL", "verdict", step)
                    await self._voicemail(step.reason)
                    return None
                case Undecided(reason):
                    return reason
                case _:
                    assert_never(step)

    async def _verdict(
        self, agent: Leg, screening: Screening
    ) -> Refer | Connect | Decline | TakeMessage | Undecided:
        """The first of the agent's REFER and the screening's verdict; a REFER beats the BYE behind it."""
        try:
            async with agent.up():
                return await first(agent.refer(), screening.verdict())
        except LegEnded as end:
            if end.leg is not agent:
                raise
            return agent.refer_waiting() or Undecided("the agent hung up")

    async def _referred(self, refer: Refer, screening: Screening) -> None:
        """Ring the destination that a REFER selects; one that matches none is refused (toll fraud)."""
        place = self._number.destination_for(refer.target)
        if place is None:
            self._scribe.step("refer refused", "its target is not a configured destination")
            return refer.refuse(403)
        self._scribe.decided("ALLOW", "refer", None)
        screening.tell(News.REFER_ARRIVED)
        refer.accept()
        await self._ring([place], refer)

    # The phone.

    async def _ring(self, places: Sequence[Destination], refer: Refer | None = None) -> None:
        """Ring one destination after another and bridge with the first that answers; the agent, if there is
        one, keeps the caller company. Returns when none has answered.
        """
        self._phone_tried = True
        failure: SipError = TransportFailed("no destination is configured")
        self._media.ringback("caller", True)
        for place in places:
            with self._leg("phone", peer=place.uri) as phone:
                try:
                    async with limit(self._number.ring_limit_s, EndReason.NO_ANSWER):
                        await phone.invite(towards_phone(self._identity, place, self._around.host))
                except NOT_TAKEN as problem:
                    failure = problem
                    phone.end(EndReason.NO_ANSWER)
                    self._scribe.not_taken("phone", problem)
                else:
                    self._scribe.answered("phone")
                    await self._bridge(phone, refer)
        self._media.ringback("caller", False)
        if refer is not None:
            refer.progress(status_of(failure))
        if self._screening is not None:
            self._screening.tell(news_of(failure))

    async def _bridge(self, phone: Leg, refer: Refer | None) -> None:
        """Caller and phone talk until one of them hangs up; the agent is let go."""
        await self._answer_caller("phone")
        if refer is not None:
            refer.progress(200)
        if self._agent is not None:
            self._agent.end(EndReason.TRANSFERRED)
        if self._screening is not None:
            self._screening.tell(News.CONNECTED)
        self._scribe.settle(Result.BRIDGED, "the caller talked to the phone")
        async with phone.up():
            await forever()

    async def _answer_caller(self, other: str | None) -> None:
        """Caller and the other leg hear each other; the caller is answered if that is still owed."""
        if other is not None:
            self._media.join("caller", other)
        self._media.ringback("caller", False)
        if not self._caller_answered:
            self._caller_answered = True
            await self._caller.answer()
            self._scribe.answered("caller")

    # Without a verdict, and without a phone.

    async def _unscreened(self, why: str, then: OnFailure) -> None:
        """Fail open, as configured: the caller never sits in silence because a vendor is down."""
        self._scribe.step("unscreened", why)
        if then is OnFailure.RING and not self._phone_tried:
            self._scribe.trigger("failure")
            await self._ring(self._number.destinations)
        if then is not OnFailure.REJECT:
            return await self._voicemail(why)
        self._scribe.settle(Result.REFUSED if not self._caller_answered else Result.UNANSWERED, why)
        self._caller.end(EndReason.UNREACHABLE)

    async def _voicemail(self, why: str) -> None:
        """Beep, and record what the caller says until hang-up or the limit."""
        if self._agent is not None:
            self._agent.end(EndReason.COMPLETED)
        self._media.part("caller")
        await self._answer_caller(None)
        self._scribe.settle(Result.VOICEMAIL, why)
        await self._media.beep("caller")
        recording = self._media.record("caller", self._around.voicemail_dir / f"{self.record.call}.wav")
        try:
            async with limit(self._number.voicemail_limit_s, EndReason.COMPLETED):
                await forever()
        except LimitReached:
            self._scribe.step("voicemail full", f"after {self._number.voicemail_limit_s:g} s")
        finally:
            self._scribe.recorded(recording.path, recording.close())

    # The legs.

    @contextmanager
    def _leg(self, name: str, *, peer: str, takes_refer: bool = False) -> Iterator[Leg]:
        """A leg that is ended, and its media released, when the block is left or its peer goes."""
        leg = Leg(name, self._around.core, LegMedia(self._media, name), takes_refer=takes_refer)
        leg.log = leg.log.bind(call=self.record.call)
        self._legs[name] = leg
        entry = self._scribe.began(name, peer)
        leg.ended.add_done_callback(lambda ended: self._scribe.leg_ended(entry, ended.result()))
        leg.ended.add_done_callback(lambda ended: self._let_go(leg))
        try:
            with ending(leg):
                yield leg
        finally:
            self._let_go(leg)

    def _let_go(self, leg: Leg) -> None:
        if self._legs.get(leg.name) is leg:
            del self._legs[leg.name]
            self._media.release(leg.name)
