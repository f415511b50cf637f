"""The edge under test, with a simulated carrier, agent and phone: real parts on an in-memory network.

async def test_a_call(edge):
    await edge.carrier.invites()
    await edge.agent.answers()
    await edge.carrier.receives(200)
    ...
    await edge.assert_clean()
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from proxy.call.admission import Admission
from proxy.call.attestation import PeerTrust
from proxy.call.capacity import Capacity, Limit
from proxy.call.context import CallContext
from proxy.call.feed import Feed
from proxy.call.media_watch import MediaWatchSettings
from proxy.call.outcome import OnFailure, Result
from proxy.call.record import CallRecord
from proxy.call.registry import Registry
from proxy.call.routing import Agent, Destination, Number, Routing, Trunk
from proxy.config.numbers import is_emergency
from proxy.lab.audio import AGENT_HZ, CALLER_HZ, PHONE_HZ, TonePeer
from proxy.lab.carrier import Carrier
from proxy.lab.expect import fragment
from proxy.lab.message_templates import CARRIER_MARKS
from proxy.lab.openai_sip import OpenAiSip
from proxy.lab.phone import Phone
from proxy.media.direct import DirectSession
from proxy.media.engine import MediaEngine
from proxy.media.interface import MediaSession
from proxy.media.periodic_timer import PeriodicTimer
from proxy.media.ports import PortPool
from proxy.media.sdes import SrtpPolicy
from proxy.media.sdp import SdpError, parse_sdp
from proxy.media.session import RelaySession
from proxy.media.speech import RecordedPrompts, Speech
from proxy.media.udp import Address
from proxy.sip.message import Request
from proxy.sip.uri import Uri
from proxy.transport.flow import Flow, ListenOn
from proxy.ua.advertised import Advertised
from proxy.ua.core import UserAgentCore
from screening.contract import AgentCost, Ask, Caller, News, Plan, TranscriptLine, Undecided, Verdict, Wish
from tests.kit.ids import CountingIds
from tests.kit.media import MemoryMedia
from tests.kit.network import Wire
from tests.kit.rule_checker import RuleChecker
from tests.kit.silences import Silence, silences

EDGE, CARRIER, STRANGER = "203.0.113.10", "198.51.100.114", "192.0.2.66"
OPENAI, TRUNK = "192.0.2.112", "192.0.2.50"
HOST = "sbc.example.com"
START_S = 5000.0
"""The time at which the virtual loop starts."""
MAX_SILENCE_MS = 2000.0
RINGBACK_PAUSE_S = 4.2
"""Pause between two rings, in North America."""
PHONE_NUMBER = "+14155559876"
BEGAN = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)


class ScriptedScreening:
    """A screening whose verdicts come from the test."""

    def __init__(self) -> None:
        self.verdicts: asyncio.Queue[Verdict] = asyncio.Queue()
        self.news: list[News] = []
        self.outcomes: list[str] = []
        self.transcript: Sequence[TranscriptLine] = ()
        self.decided: Verdict | None = None
        self.informed_s: float | None = None
        self.spent: AgentCost | None = None
        self.agent_called: float | None = None
        """The loop time at which the agent was called."""
        self.agent_is_gone = False
        self.heard: Callable[[TranscriptLine], None] = lambda said: None
        self.asked: list[str] = []
        self.takes_wishes = True

    async def verdict(self) -> Verdict:
        return await self.verdicts.get()

    def decides(self, verdict: Verdict) -> None:
        self.verdicts.put_nowait(verdict)

    def agent_left(self, lost: str | None = None) -> Verdict:
        return Undecided(lost or "the agent hung up")

    def tell(self, news: News) -> None:
        if news is News.AGENT_LEFT:
            self.agent_is_gone = True
        elif news is News.AGENT_CALLED:
            self.agent_called = asyncio.get_running_loop().time()
        else:
            self.news.append(news)

    def overrule(self, verdict: Verdict) -> bool:
        if self.takes_wishes:
            self.decided = verdict
            self.decides(verdict)
        return self.takes_wishes

    def ask(self, text: str) -> bool:
        self.asked.append(text)
        return self.takes_wishes

    def follow(self, heard: Callable[[TranscriptLine], None]) -> None:
        self.heard = heard

    def says(self, speaker: str, text: str) -> None:
        """Add a line to the transcript, as if it was spoken."""
        said = TranscriptLine(speaker, text, 1.0)
        self.transcript = (*self.transcript, said)
        self.heard(said)

    def over(self, outcome: str) -> None:
        self.outcomes.append(outcome)


class ScriptedScreener:
    """Plans `Ask` for every caller, unless the test sets `planned`."""

    def __init__(self) -> None:
        self.screening = ScriptedScreening()
        self.planned: Plan | None = None
        self.callers: list[Caller] = []
        self.backup: Plan | None = None
        """The plan for a backup agent; None: as for the first."""
        self.asked_of: list[str] = []
        """The names of the backup agents that were asked for a plan."""
        self.wishes: list[tuple[str | None, Wish]] = []

    def remember(self, caller: Caller, wish: Wish) -> None:
        self.wishes.append((caller.number, wish))

    def ask(self, caller: Caller) -> Plan:
        self.asked_of.append(caller.agent)
        return self.backup or Ask(self.screening, {"X-Screendoor-Token": "t0ken2"}, patience_s=8.0)

    async def plan(self, caller: Caller) -> Plan:
        self.callers.append(caller)
        return self.planned or Ask(self.screening, {"X-Screendoor-Token": "t0ken"}, patience_s=8.0)


class Edge:
    """The edge's registry, core and media, its three peers, and checks of what is left afterwards."""

    def __init__(
        self,
        tmp: Path,
        *,
        number: Number | None = None,
        ports: PortPool | None = None,
        max_calls: int = 10,
        seed: int = 1,
        trunks: Mapping[str, Limit] | None = None,
        numbers: Mapping[str, Limit] | None = None,
        speech: Speech | None = None,
        mode: str = "relay",
    ) -> None:
        self.mode = mode
        self.wire = Wire(seed=seed)
        self.host = self.wire.host(EDGE, names=[HOST])
        self.media = MemoryMedia(delay=0.001, address=EDGE)
        self.ports = ports or PortPool(20000, 20099)
        self.screener = ScriptedScreener()
        self.records: list[CallRecord] = []
        self.refused: list[str] = []
        self.down: set[str] = set()
        """The peers that fail their probes, as `agent:NAME` and `trunk:NAME`."""
        self.unreadable: list[str] = []
        self.number = number or a_number()
        self.ids = CountingIds()
        self.voicemail, self.recordings = tmp / "voicemail", tmp / "recordings"
        self.speech = speech or RecordedPrompts()
        self.max_calls = max_calls
        self.caller_srtp = SrtpPolicy.ACCEPT
        """The SRTP policy for the carrier's calls."""
        self.inactivity_s = 60.0
        self.call_limit_s = 0.0
        self.sdp_addresses: set[Address] = set()
        """The addresses at which the peers' SDP asked for audio."""
        self.feed = Feed(self._wall_clock)
        self.media_timer = PeriodicTimer()
        """The RTCP timer that all calls share."""
        self.trusted = {"signalwire"}
        """The trunks that are trusted about a caller's identity."""
        self._finished = asyncio.Event()
        self.excused_silence: Callable[[Silence], bool] | None = None
        """Which silences are not the edge's fault; a test that sets this says why."""
        self.rule_checker: RuleChecker | None = None
        """Checks what the core sends, in tests that ask for that."""
        self.gate = Admission(
            {"signalwire": [CARRIER], "trunk": [TRUNK]},
            self._addresses,
            turned_away=lambda: self.refused.append("stranger"),
            unreadable=lambda: self.unreadable.append("malformed"),
        )

        self.capacity = Capacity(
            lambda: self.now, self.ids.uniform, trunks=trunks, numbers=numbers, trunk_of=self._trunk_of
        )

    async def start(
        self, *, carrier_transport: str = "udp", phone_transport: str = "udp", audio: bool = True
    ) -> None:
        self.core = UserAgentCore(
            self.host,
            ids=self.ids,
            advertised=Advertised(HOST, {"udp": 5060, "tcp": 5060, "tls": 5061}),
            gate=self.gate,
            invited=lambda invite: self.registry.invited(invite),
            overload_wait_s=self.capacity.sheds,
        )
        self.registry = Registry(
            CallContext(
                self.core,
                self.screener,
                HOST,
                self.voicemail,
                self._wall_clock,
                recording_dir=self.recordings,
                speech=self.speech,
                down=lambda name: name in self.down,
                trust_of=self._trust_of,
                srtp=lambda trunk: self.caller_srtp,
                media_watch=MediaWatchSettings(
                    self.inactivity_s if audio else 0.0, self.call_limit_s, self.media_timer
                ),
                feed=self.feed,
            ),
            Routing([self.number], is_emergency),
            self.ids,
            media=self._media,
            finished=self._over,
            max_calls=self.max_calls,
            capacity=self.capacity,
        )
        self.host.start(self.core)
        for transport, port in (("udp", 5060), ("tcp", 5060), ("tls", 5061)):
            await self.host.listen(ListenOn(transport, (EDGE, port)))
        port = 5061 if carrier_transport == "tls" else 5060

        def tone(host: str, frequency: int) -> TonePeer | None:
            return TonePeer(self.media, host, frequency) if audio else None

        self.caller_audio = tone(CARRIER, CALLER_HZ)
        self.agent_audio = tone(OPENAI, AGENT_HZ)
        self.phone_audio = tone(TRUNK, PHONE_HZ)
        self.carrier = Carrier(
            self.wire.host(CARRIER),
            edge=f"{HOST}:{port}",
            bind=(CARRIER, port),
            transport=carrier_transport,
            audio=self.caller_audio,
        )
        self.agent = OpenAiSip(
            self.wire.host(OPENAI, names=["sip.api.openai.com"]),
            bind=(OPENAI, 5061),
            transport=self._agent_transport,
            public_host="sip.api.openai.com",
            audio=self.agent_audio,
        )
        trunk = self.wire.host(TRUNK, names=["trunk.example.com"])
        self.phone = Phone(trunk, bind=(TRUNK, 5060), transport=phone_transport, audio=self.phone_audio)
        for peer in self.peers:
            await peer.start()
            if self.mode == "direct":
                peer.auto.add("INVITE")
        if self.mode == "direct":  # the other peers must learn where a peer wants its audio
            self.agent.foreign = self.phone.foreign = CARRIER_MARKS[1:]

    @property
    def _agent_transport(self) -> str:
        agent = self.number.agent
        return (agent and Uri.parse(agent.uri).transport) or "udp"

    @property
    def peers(self) -> tuple[Carrier, OpenAiSip, Phone]:
        return self.carrier, self.agent, self.phone

    @property
    def screening(self) -> ScriptedScreening:
        return self.screener.screening

    @property
    def record(self) -> CallRecord:
        """The record of the only call."""
        assert len(self.records) == 1, self.records
        return self.records[0]

    async def connects(self) -> None:
        """A call comes in, the agent answers, and they talk for a second."""
        await self.carrier.invites()
        await self.agent.answers()
        await self.carrier.receives(200)
        await self.time_passes(1.0)

    @staticmethod
    async def time_passes(seconds: float) -> None:
        """Let virtual time pass."""
        await asyncio.sleep(seconds)

    async def bridges(self) -> None:
        """A call comes in, and the agent's REFER connects it with the phone."""
        await self.connects()
        await self.agent.refers(f"tel:{PHONE_NUMBER}")
        await self.phone.answers()
        await self.agent.receives("BYE")
        await self.time_passes(1.0)

    @property
    def now(self) -> float:
        return asyncio.get_running_loop().time()

    @staticmethod
    def time_of(moment: datetime) -> float:
        """The loop time of a timestamp in a record."""
        return START_S + (moment - BEGAN).total_seconds()

    def notify_statuses(self) -> list[int | None]:
        """The statuses that the agent was sent by NOTIFY, in order."""
        traced = [each.message for each in self.agent.trace if each.direction == "<"]
        return [fragment(each) for each in traced if isinstance(each, Request) and each.method == "NOTIFY"]

    async def over(self, calls: int = 1) -> CallRecord:
        """Wait until so many calls are over; return the record of the first."""
        async with asyncio.timeout(2000):
            while len(self.records) < calls:
                self._finished.clear()
                await self._finished.wait()
        await asyncio.sleep(0.001)
        return self.records[0]

    async def assert_clean(self, *, calls: int = 1, faults: bool = True) -> None:
        """Nothing is left: no call, leg, transaction, dialog, task or port; and no peer found a fault."""
        await self.over(calls)
        self.assert_no_long_silence()
        await asyncio.sleep(64 * self.core.timers.t1 + 6)
        assert len(self.registry) == 0
        assert not any(self.core.left_over().values()), self.core.left_over()
        assert self.ports.lent == 0
        assert len(self.media_timer) == 0
        asked = self.media.heard_from | self.sdp_addresses  # RTCP goes to the port next to that of RTP
        assert self.media.sent_to(EDGE) <= asked | {(host, port + 1) for host, port in self.sdp_addresses}
        assert asyncio.all_tasks() == {asyncio.current_task()}
        if self.screener.planned is None:
            screened = [record for record in self.records if (record.plan or "").startswith("ask")]
            assert self.screening.outcomes == [
                each.outcome and each.outcome.result.value for each in screened
            ]
        if faults:
            assert [peer.faults for peer in self.peers] == [[], [], []]
            assert not any(call.resending for peer in self.peers for call in peer.calls.values())

    def assert_no_long_silence(self) -> None:
        """Every peer that listened got a packet at least every two seconds; and the caller heard something at
        every moment, except in the pauses of ringback and while leaving a message.
        """
        found: list[Silence] = []
        for peer, audio in zip(
            self.peers, (self.caller_audio, self.agent_audio, self.phone_audio), strict=True
        ):
            if audio is not None:
                found += silences(peer, audio, self.now, longer_than_s=MAX_SILENCE_MS / 1000)
        if self.caller_audio is not None:
            lulls = silences(
                self.carrier, self.caller_audio, self.now, longer_than_s=RINGBACK_PAUSE_S, audibly=True
            )
            found += [each for each in lulls if not any(each.began > at - 0.5 for at in self._messages())]
        found = [each for each in found if self.excused_silence is None or not self.excused_silence(each)]
        assert not found, found

    def _messages(self) -> list[float]:
        """The loop times at which voicemail messages began."""
        return [
            self.time_of(record.ended) - record.voicemail_s
            for record in self.records
            if record.ended is not None and record.voicemail_s is not None
        ]

    def assert_never_silent(self, until: float | None = None) -> None:
        """From answer to end (or `until`) the caller heard something at every moment, in one RTP stream."""
        record = self.records[0]
        assert self.caller_audio is not None
        assert record.answered is not None
        assert record.ended is not None
        began, ended = self.time_of(record.answered), until or self.time_of(record.ended)
        assert self.caller_audio.longest_gap_ms(began, ended) <= MAX_SILENCE_MS
        self.assert_one_rtp_stream(self.caller_audio)

    def assert_one_rtp_stream(self, audio: TonePeer) -> None:
        """In `relay` mode a peer got one SSRC without a jump, whoever spoke."""
        if self.mode == "relay":
            assert not audio.line_breaks, audio.line_breaks

    async def close(self) -> None:
        await self.registry.drain(0.0)
        await self.core.close()
        for peer in self.peers:
            await peer.close()
        for audio in (self.caller_audio, self.agent_audio, self.phone_audio):
            if audio is not None:
                audio.close()
        await self.host.close()

    def _over(self, record: CallRecord) -> None:
        self.records.append(record)
        self._finished.set()

    def _media(self, number: Number) -> MediaSession:
        clock = asyncio.get_running_loop().time
        session = AddressNotingSession(
            MediaEngine(self.media, self.ports, EDGE, EDGE, self.ids.bits, clock, None, self.media_timer)
        )
        session.sdp_addresses = self.sdp_addresses
        if self.mode == "relay" or number.record:
            return session
        return DirectSession(session, EDGE, self.ids.bits)

    def _wall_clock(self) -> datetime:
        return BEGAN + timedelta(seconds=asyncio.get_running_loop().time() - START_S)

    def _trusts(self, flow: Flow) -> bool:
        return self._trunk_of(flow) in self.trusted

    def _trust_of(self, flow: Flow) -> PeerTrust:
        trusted = self._trusts(flow)
        return PeerTrust(self._trunk_of(flow) or "", trusted, headers=trusted, identity=trusted)

    def _trunk_of(self, flow: Flow) -> str | None:
        source = self.gate.source(flow)
        return source and source.trunk

    async def _addresses(self, name: str) -> tuple[list[str], float]:
        return self.wire.addresses(name), 60.0


class AddressNotingSession(RelaySession):
    """A relay session that notes the audio addresses in the peers' SDP."""

    sdp_addresses: set[Address]

    def accept(self, leg: str, sdp: bytes) -> bytes:
        self._note(sdp)
        return super().accept(leg, sdp)

    def answered(self, leg: str, sdp: bytes) -> None:
        self._note(sdp)
        super().answered(leg, sdp)

    def _note(self, sdp: bytes) -> None:
        with suppress(SdpError):
            description = parse_sdp(sdp)
            self.sdp_addresses.update((description.connection(each), each.port) for each in description.media)


NewEdge = Callable[..., AbstractAsyncContextManager[Edge]]
"""The type of the fixture `new_edge`."""


def a_number(**changes: object) -> Number:
    """The number that the carrier dials, with one destination, behind a trunk that asks for a password."""
    trunk = Trunk("trunk", "sip:trunk.example.com", "screendoor", "secret", "+14155550100")
    number = Number(
        dialed="+14155551234",
        destinations=(Destination(f"sip:{PHONE_NUMBER}@trunk.example.com", PHONE_NUMBER, trunk),),
        agent=Agent("openai", "sip:proj_X@sip.api.openai.com:5061;transport=tls"),
        on_failure=OnFailure.RING,
    )
    return replace(number, **changes)  # type: ignore[arg-type]


def summary(record: CallRecord) -> tuple[Result | None, str | None, str | None, str | None]:
    """A record in short: outcome, decision, trigger, and who ended the call."""
    result = record.outcome and record.outcome.result
    return result, record.decision, record.trigger, record.ended_by


def leg_ends(record: CallRecord) -> list[tuple[str, str | None]]:
    """The legs of a record in order, each with the reason of its end."""
    return [(leg.name, leg.end) for leg in record.legs]


@asynccontextmanager
async def an_edge(
    tmp: Path,
    *,
    transport: str = "udp",
    phone_transport: str = "udp",
    number: Number | None = None,
    ports: PortPool | None = None,
    audio: bool = True,
    max_calls: int = 10,
    seed: int = 1,
    trunks: Mapping[str, Limit] | None = None,
    numbers: Mapping[str, Limit] | None = None,
    speech: Speech | None = None,
    mode: str = "relay",
) -> AsyncIterator[Edge]:
    """Start an edge with its peers, and close it at the end."""
    edge = Edge(
        tmp,
        number=number,
        ports=ports,
        max_calls=max_calls,
        seed=seed,
        trunks=trunks,
        numbers=numbers,
        speech=speech,
        mode=mode,
    )
    await edge.start(carrier_transport=transport, phone_transport=phone_transport, audio=audio)
    try:
        yield edge
    finally:
        await edge.close()
