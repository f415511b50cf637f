"""The story of one call, from its first INVITE to its last BYE.

`Call.run` asks the screener for a plan and follows it: the agent talks to the caller until it decides, phones
ring, and the first to answer is bridged with the caller. The caller's leg encloses all others. When it ends,
or another leg that the call cannot do without, LegEnded is raised at the await that this interrupts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from dataclasses import replace
from typing import Any, assert_never

from proxy.call.agent import ask_of_backup, call_agent, next_decision
from proxy.call.attestation import PeerTrust
from proxy.call.border import Identity
from proxy.call.caller import CallerSide
from proxy.call.caller_info import describe_caller
from proxy.call.context import CallContext
from proxy.call.destinations import DestinationQueue
from proxy.call.fallback import Fallback
from proxy.call.invite_builder import InviteBuilder
from proxy.call.journal import Journal
from proxy.call.legs import Legs
from proxy.call.loop_detection import is_forwarded_back
from proxy.call.outcome import (
    NOT_TAKEN,
    MessageWanted,
    OnFailure,
    Result,
    Unwanted,
    news_of,
    status_of,
)
from proxy.call.race import GLOBAL_FAILURE
from proxy.call.record import CallRecord, clock_from
from proxy.call.ringing import Ringing
from proxy.call.routing import Agent, Destination, Number
from proxy.call.transfer import Transfers
from proxy.call.waiting import EndOf, meanwhile
from proxy.call.whisper import Whisper
from proxy.call.whisper_text import Announcement
from proxy.media.interface import MediaSession
from proxy.sip.errors import SipError
from proxy.sip.message import Request
from proxy.transport.flow import TransportFailed
from proxy.ua.errors import LegEnded, OfferRefused, without_traceback
from proxy.ua.leg import Leg
from proxy.ua.reason import EndReason
from proxy.ua.transactions import ServerTransaction
from screening.contract import (
    Ask,
    Challenge,
    Connect,
    Decline,
    News,
    Plan,
    Refuse,
    Ring,
    Screening,
    TakeMessage,
    Undecided,
    Wish,
)


class Call:
    """One call: its legs, its record, and everything that is done with the caller."""

    __slots__ = (
        "__weakref__", "_agent", "_agents", "_caller", "_caller_info", "_context", "_identity", "_journal",
        "_number", "_screening", "_transfers", "_trunk", "legs", "record",
    )  # fmt: skip

    def __init__(
        self,
        context: CallContext,
        name: str,
        number: Number,
        media: MediaSession,
        invite: Request,
        trust: PeerTrust,
    ) -> None:
        """`trust`: what the sender of the INVITE is trusted to say about the caller."""
        self._context, self._number = context, number
        self._identity = identity = Identity.of(invite, trusted=trust.trusted, trust=trust)
        clock = clock_from(context.wall_clock(), asyncio.get_running_loop().time)
        self.record = CallRecord(name, identity.number, number.dialed, clock(), identity.name)
        self._journal = Journal(self.record, clock, context.feed, context.log)
        self.legs = Legs(context.core, media, self._journal)
        self._caller = CallerSide(context, number, self.legs, name)
        self._trunk = trust.trunk
        self._screening: Screening | None = None
        self._agent: Leg | None = None

    async def run(self, invite: ServerTransaction) -> CallRecord:
        """Have the call screened, ring the phone, bridge, and end; returns the finished record."""
        try:
            srtp = self._context.srtp(self._trunk)
            with self.legs.leg("caller", peer=self._identity.uri, srtp=srtp) as leg:
                leg.credentials = self._context.credentials(self._trunk)
                self._caller.invited(leg, invite)
                del invite  # the leg holds it from here on
                async with leg.up():
                    if self._offer_acceptable(leg):
                        await self._follow_plan(await self._context.screener.plan(self._caller_info))
        except LegEnded as end:
            self._journal.ended_by(end)
            if end.leg.name == "caller":
                self._tell_screening(News.CALLER_LEFT)
        finally:
            self._caller.close()
            self._journal.close(self._screening)
        return self.record

    def end(self, reason: EndReason) -> None:
        """End the call from outside; `run` returns soon after."""
        self.legs.end_caller(reason)

    @property
    def screening(self) -> Screening | None:
        """The screening of this caller; None until the plan is to call the agent."""
        return self._screening

    def is_forwarded_back(self, invite: Request) -> bool:
        """Whether this INVITE is this very call, forwarded back to us by a phone that we are ringing."""
        return is_forwarded_back(invite, self.record, self._number)

    def note_command(self, command: str, user: str) -> None:
        """Record a command that the user gave for this call; `user` says who that was."""
        self._journal.step(command, user)

    # The plan: what to do with this caller.

    def _offer_acceptable(self, leg: Leg) -> bool:
        """Whether media can be agreed on; if not, the caller's offer is refused."""
        try:
            leg.prepare_sdp()
        except OfferRefused as refusal:
            self._caller.refuse_offer(refusal)
            return False
        self._agents = self._context.agents.of(self._number.agents, self._context.down)
        first = self._agents[0] if self._agents else None
        self._caller_info = describe_caller(self.record, self._identity, self._number, first)
        return True

    async def _follow_plan(self, plan: Plan) -> None:
        """Do with the caller what the plan says: refuse, screen, ring, challenge or take a message."""
        self._journal.planned(plan, self._caller_info)
        if isinstance(plan, Refuse):
            return self._caller.reject(plan)
        if isinstance(plan, Ask):
            self._screening = plan.screening  # set early: it must learn of the end even if that comes first
        await self._caller.ring()
        match plan:
            case Ask():
                await self._screen(plan)
            case Challenge(reason) if not self._caller_info.challenged:
                await self._challenge(reason)
            case Ring(reason) | Challenge(reason):
                if not await self._ring(self._number.destinations, "plan"):
                    await self._fallback().unanswered(reason, self._number.on_failure)
            case TakeMessage(reason):
                await self._fallback().take_message(reason)
            case Undecided(reason):
                await self._fail_open(reason, self._number.on_failure)
            case _:
                assert_never(plan)

    async def _challenge(self, why: str) -> None:
        """Have the caller press a key; follow a new plan once they have."""
        if not await self._fallback().challenge(why):
            return await self._fallback().challenge_failed(why)
        # The signature is verified only once: by now it may be too old.
        self._caller_info = replace(
            self._caller_info, challenged=True, verification=self.record.verification, signed=None
        )
        await self._follow_plan(await self._context.screener.plan(self._caller_info))

    # The agent.

    async def _screen(self, ask: Ask) -> None:
        """Let an agent talk to the caller until there is a verdict; go on without one if the agent fails."""
        following: Ask | None = ask
        while following is not None:
            following = await self._screen_by(self._agents.pop(0), following)

    async def _screen_by(self, configured: Agent, ask: Ask) -> Ask | None:
        """Let this agent talk to the caller; returns how to ask its backup if it does not take the call."""
        self._screening = ask.screening
        self._journal.follow(ask.screening)
        with self.legs.leg("agent", peer=configured.uri, takes_refer=True, srtp=configured.srtp) as agent:
            self._agent, self._transfers = agent, Transfers(self._number, self._journal)
            agent.ended.add_done_callback(lambda ended: ask.screening.tell(News.AGENT_LEFT))
            problem = await call_agent(
                agent, configured, ask, self._invite_builder(), self._journal, self._context
            )
            if problem is None:
                problem = await self._converse(agent, ask.screening)
            elif backup := ask_of_backup(self._agents, self._caller_info, self._context.screener):
                self._journal.step("backup agent called", problem)
                ask.screening.over("another agent is called")
                return backup
            if problem is not None:
                await self._fail_open(problem, self._number.on_failure)
        return None

    async def _converse(self, agent: Leg, screening: Screening) -> str | None:
        """Act on the agent's verdicts until one settles the call.

        Returns None then, else why the call has to go on without a verdict.
        """
        try:
            await self._caller.answer("agent", speaks=False)
        except NOT_TAKEN as refusal:  # only after a challenge, and only where audio does not pass through us
            if self._caller.leg.ended.done():
                raise
            agent.end(EndReason.COMPLETED)
            return f"the caller could not be connected to the agent: {refusal}"
        while True:
            match decision := await next_decision(agent, screening, self._transfers):
                case Destination():
                    if await self._ring_for_refer(decision):
                        return None
                case Connect():
                    self._journal.decided("ALLOW", "verdict", decision)
                    self._transfers.note_rung_without_refer(screening.decided)
                    if await self._ring(self._number.destinations_named(decision.to), "verdict"):
                        return None
                case Decline():
                    self._journal.decided("REJECT", "verdict", decision)
                    self._journal.settle(Result.DECLINED, decision.reason)
                    return None
                case TakeMessage():
                    self._journal.decided("VOICEMAIL", "verdict", decision)
                    if decision.message is None:
                        await self._fallback().take_message(decision.reason)
                    else:
                        self._journal.message_taken(decision.message)
                    return None
                case Undecided(reason):
                    return reason
                case _:
                    assert_never(decision)

    async def _ring_for_refer(self, destination: Destination) -> bool:
        """Ring the destination that a REFER has selected; returns whether the call is over."""
        decided = self._screening.decided if self._screening else None
        self._journal.decided("ALLOW", "refer", decided)
        named = isinstance(decided, Connect) and decided.to is not None and decided.to == destination.name
        return await self._ring([destination] if named else self._number.ringing_with(destination), "refer")

    # The phone.

    async def _ring(self, destinations: Sequence[Destination], trigger: str) -> bool:
        """Ring the destinations, in turn or all at once, and bridge the caller with the first that answers.

        The agent, if there is one, keeps talking to the caller meanwhile. Returns only when no phone took the
        call: True if that settled it (a voicemail, a block), False if the caller still needs something else.
        """
        self._caller.phone_rung = True
        self._journal.rung_by(trigger)
        whisper = self._whisper(trigger)
        if whisper is None:
            reached = await self._reach_phone(destinations, whisper)
        else:
            async with whisper:
                reached = await self._reach_phone(destinations, whisper)
        if isinstance(reached, Leg):  # what was needed to reach it is freed before they talk
            self._settle_bridged()
            raise LegEnded(reached, await EndOf(reached))
        return await self._no_phone_answered(reached)

    async def _reach_phone(
        self, destinations: Sequence[Destination], whisper: Whisper | None
    ) -> Leg | SipError:
        """Return the phone that took the call, connected with the caller; or the failure of the last one."""
        failure: SipError = TransportFailed("no destination is configured")
        context, caller, agent = self._context, self._caller, self._agent
        clock = asyncio.get_running_loop().time
        queue = DestinationQueue(
            self._number, destinations, down=context.down, backoff=context.backoff, clock=clock
        )
        ringing = Ringing(context, self._number, self.legs, self._invite_builder(), queue, whisper)
        while group := queue.next_group():
            caller.sounds.phone_rings(answered=caller.answered, alone=agent is None and len(group) == 1)
            answered = ringing.ring(group)
            try:
                phone = await (answered if agent is None else self._accepting_refers(agent, answered))
                await caller.answer(phone.name)
            except NOT_TAKEN as problem:
                if caller.leg.ended.done():
                    raise
                failure = without_traceback(problem)
            else:
                return phone
            self.legs.end_after(agent or caller.leg)
            if status_of(failure) >= GLOBAL_FAILURE:
                break
        return failure

    async def _no_phone_answered(self, failure: SipError) -> bool:
        """Tell the agent that no phone took the call; returns whether the call is settled by that.

        It is when somebody at the phone sent the caller to voicemail, or blocked the caller.
        """
        self._caller.failed_status = status = status_of(failure)
        settled = isinstance(failure, MessageWanted | Unwanted)
        if self._agent is None or not self._caller.answered or settled:
            self.legs.media.ringback("caller", False)
        else:
            self._caller.sounds.ringback_until_heard()  # the agent needs a moment before it speaks again
        self._report_phone(status, news_of(failure))
        match failure:
            case MessageWanted():
                await self._fallback().take_message(str(failure))
            case Unwanted():
                answered = self._caller.answered
                self._journal.settle(Result.DECLINED if answered else Result.REFUSED, str(failure))
                self._caller.leg.end(EndReason.BLOCKED if answered else EndReason.UNWANTED)
        return settled

    def _invite_builder(self) -> InviteBuilder:
        """Makes the INVITEs to the other legs, which say who calls."""
        context, step = self._context, self._journal.step
        return InviteBuilder(self._identity, self._number.dialed, context.host, context.refusals, step)

    def _whisper(self, trigger: str) -> Whisper | None:
        """The announcement to whoever picks up a phone; None if there is nothing to announce."""
        recorder, unscreened = self._caller.recorder, trigger == "failure"
        recorded = recorder is not None and recorder.announced
        if not (self._number.always_announces or unscreened or recorded):
            return None
        announcement = Announcement.of(
            self._identity,
            self._screening.decided if self._screening else None,
            unscreened=unscreened, recorded=recorded, keys=self._number.whisper_keys,
        )  # fmt: skip
        return Whisper(
            self.legs.media, self._context.speech, self._number, announcement,
            picked_up=self._phone_picked_up, on_wish=self._remember_wish,
        )  # fmt: skip

    def _remember_wish(self, wish: Wish) -> None:
        """Block or trust this caller from now on: a key was pressed at the phone."""
        self._journal.step(f"{wish.value} wished", "by a key, at the phone")
        self._context.screener.remember(self._caller_info, wish)

    def _phone_picked_up(self, phone: Leg) -> None:
        """A phone was picked up and hears who calls; the agent is sent a 183 meanwhile (RFC 3515 §2.4.5)."""
        self._journal.step("picked up", f"{phone.name} is told who calls")
        self._caller.sounds.phone_picked_up(phone, answered=self._caller.answered)
        if self._agent is not None:
            self._transfers.progress(183)

    async def _accepting_refers(self, agent: Leg, answered: Coroutine[Any, Any, Leg]) -> Leg:
        """Await the phone that answers; a REFER from the agent is accepted meanwhile."""
        async with meanwhile(self._transfers.accept_late(agent, self._screening)):
            return await answered

    def _settle_bridged(self) -> None:
        """Caller and phone are connected: let the agent go, and settle the call as bridged."""
        if self._agent is not None:
            self._report_phone(200, News.CONNECTED)
            self._agent.end(EndReason.TRANSFERRED)
            del self._transfers
        self._journal.settle(Result.BRIDGED, "the caller talked to the phone")
        del self._agents, self._caller_info, self._identity  # of no use while they talk, maybe for hours

    def _report_phone(self, status: int, news: News) -> None:
        """Tell the agent what became of the phone: by NOTIFY for each REFER, and through its screening."""
        if self._agent is not None:
            self._transfers.conclude(status)
        self._tell_screening(news)

    def _tell_screening(self, news: News) -> None:
        if self._screening is not None:
            self._screening.tell(news)

    # When there is no verdict, or nobody takes the call.

    async def _fail_open(self, why: str, then: OnFailure) -> None:
        """Fail open, as configured by `then`: the caller never sits in silence because a vendor is down."""
        self._journal.step("unscreened", why)
        rings = then in (OnFailure.RING, OnFailure.CHALLENGE) and not self._caller.phone_rung
        challenges = rings and then is OnFailure.CHALLENGE and not self._caller_info.challenged
        if challenges and not await self._fallback().challenge(why):
            return await self._fallback().challenge_failed(why)
        if not (rings and await self._ring(self._number.destinations, "failure")):
            await self._fallback().unanswered(why, then)

    def _fallback(self) -> Fallback:
        """What the caller gets when nobody takes the call; made on demand, since few calls need it."""
        return Fallback(self._caller, self.record.call)
