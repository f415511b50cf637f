"""The edge under test, with a carrier, an agent and a phone around it: real parts, memory for a network.

    async def test_a_call(edge):
        await edge.carrier.invites()
        await edge.agent.answers()
        await edge.carrier.receives(200)
        ...
        await edge.assert_clean()
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from proxy.call.admission import Admission
from proxy.call.call import Surroundings
from proxy.call.outcome import OnFailure
from proxy.call.record import CallRecord
from proxy.call.registry import Registry
from proxy.call.routing import Agent, Destination, Number, Routing, Trunk
from proxy.lab.audio import AGENT_HZ, CALLER_HZ, PHONE_HZ, TonePeer
from proxy.lab.carrier import Carrier
from proxy.lab.openai_sip import OpenAiSip
from proxy.lab.phone import Phone
from proxy.media.ports import PortPool
from proxy.media.session import RelaySession
from proxy.transport.flow import ListenOn
from proxy.ua.core import Advertised, UserAgentCore
from screening.contract import Ask, Caller, News, Plan, Said, Verdict
from tests.kit.ids import CountingIds
from tests.kit.media import MemoryMedia
from tests.kit.network import Wire

EDGE, CARRIER, OPENAI, TRUNK, STRANGER = "203.0.113.10", "198.51.100.114", "192.0.2.112", "192.0.2.50", "192.0.2.66"
HOST = "sbc.example.com"
PHONE_NUMBER = "+14155559876"
BEGAN = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)


class ScriptedScreening:
    """A screening whose verdicts the test gives."""

    def __init__(self) -> None:
        self.verdicts: asyncio.Queue[Verdict] = asyncio.Queue()
        self.news: list[News] = []
        self.outcomes: list[str] = []
        self.transcript: Sequence[Said] = ()

    async def verdict(self) -> Verdict:
        return await self.verdicts.get()

    def decides(self, verdict: Verdict) -> None:
        self.verdicts.put_nowait(verdict)

    def tell(self, news: News) -> None:
        self.news.append(news)

    def over(self, outcome: str) -> None:
        self.outcomes.append(outcome)


class ScriptedScreener:
    """Has every caller asked, unless the test plans otherwise."""

    def __init__(self) -> None:
        self.screening = ScriptedScreening()
        self.planned: Plan | None = None
        self.callers: list[Caller] = []

    async def plan(self, caller: Caller) -> Plan:
        self.callers.append(caller)
        return self.planned or Ask(self.screening, {"X-Screendoor-Token": "t0ken"}, patience_s=8.0)


class Edge:
    """The registry, the core and the media of the edge, its three peers, and what is left when all is over."""

    def __init__(self, tmp: Path, *, number: Number | None = None, ports: PortPool | None = None) -> None:
        self.wire = Wire()
        self.host = self.wire.host(EDGE, names=[HOST])
        self.media = MemoryMedia(delay=0.001, address=EDGE)
        self.ports = ports or PortPool(20000, 20099)
        self.screener = ScriptedScreener()
        self.records: list[CallRecord] = []
        self.refused: list[str] = []
        self.unreadable: list[str] = []
        self.number = number or a_number()
        self.ids = CountingIds()
        self.voicemail = tmp / "voicemail"
        self.gate = Admission(
            {"signalwire": [CARRIER], "trunk": [TRUNK]},
            self._addresses,
            turned_away=lambda: self.refused.append("stranger"),
            unreadable=self.unreadable.append,
        )

    async def start(self, *, carrier_transport: str = "udp", audio: bool = True) -> None:
        self.core = UserAgentCore(
            self.host,
            ids=self.ids,
            advertised=Advertised(HOST, {"udp": 5060, "tcp": 5060, "tls": 5061}),
            gate=self.gate,
            invited=lambda invite: self.registry.invited(invite),
        )
        self.registry = Registry(
            Surroundings(self.core, self.screener, HOST, self.voicemail, self._wall_clock),
            Routing([self.number]),
            self.ids,
            media=self._media,
            finished=self.records.append,
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
            public_host="sip.api.openai.com",
            audio=self.agent_audio,
        )
        self.phone = Phone(self.wire.host(TRUNK, names=["trunk.example.com"]), bind=(TRUNK, 5060), audio=self.phone_audio)
        for peer in self.peers:
            await peer.start()

    @property
    def peers(self) -> tuple[Carrier, OpenAiSip, Phone]:
        return self.carrier, self.agent, self.phone

    @property
    def screening(self) -> ScriptedScreening:
        return self.screener.screening

    @property
    def record(self) -> CallRecord:
        """The record of the one call that there was."""
        assert len(self.records) == 1, self.records
        return self.records[0]

    async def connects(self) -> None:
        """A call comes in and is answered by the agent; both hear each other."""
        await self.carrier.invites()
        await self.agent.answers()
        await self.carrier.receives(200)

    async def over(self) -> CallRecord:
        """Wait until no call is going on; return the record of the one that was."""
        async with asyncio.timeout(400):
            while len(self.registry) or not self.records:
                await asyncio.sleep(0.01)
        return self.record

    async def assert_clean(self, *, faults: bool = True) -> None:
        """Nothing is left: no call, leg, transaction, dialog, task or port; and no peer has a complaint."""
        await self.over()
        await asyncio.sleep(64 * self.core.timers.t1 + 6)
        assert not any(self.core.left_over().values()), self.core.left_over()
        assert self.ports.lent == 0
        assert self.screening.outcomes in ([], [self.record.outcome and self.record.outcome.result.value])
        if faults:
            assert [peer.faults for peer in self.peers] == [[], [], []]
            assert not any(call.resending for peer in self.peers for call in peer.calls.values())

    async def close(self) -> None:
        await self.registry.drain(0.0)
        await self.core.close()
        for peer in self.peers:
            await peer.close()
        for audio in (self.caller_audio, self.agent_audio, self.phone_audio):
            if audio is not None:
                audio.close()
        await self.host.close()

    def _media(self) -> RelaySession:
        clock = asyncio.get_running_loop().time
        return RelaySession(self.media, self.ports, EDGE, EDGE, self.ids.bits, clock)

    def _wall_clock(self) -> datetime:
        return BEGAN + timedelta(seconds=asyncio.get_running_loop().time() - 5000)

    async def _addresses(self, name: str) -> list[str]:
        return self.wire.addresses(name)


def a_number(**changes: object) -> Number:
    """The number that the carrier dials, with one destination behind the trunk that challenges."""
    trunk = Trunk("trunk", "sip:trunk.example.com", "screendoor", "secret", "+14155550100")
    number = Number(
        dialed="+14155551234",
        destinations=(Destination(f"sip:{PHONE_NUMBER}@trunk.example.com", PHONE_NUMBER, trunk),),
        agent=Agent("openai", "sip:proj_X@sip.api.openai.com:5061;transport=tls"),
        on_failure=OnFailure.RING,
    )
    return replace(number, **changes)  # type: ignore[arg-type]


@asynccontextmanager
async def an_edge(
    tmp: Path, *, transport: str = "udp", number: Number | None = None, ports: PortPool | None = None, audio: bool = True
) -> AsyncIterator[Edge]:
    """An edge with its peers, started, and taken down at the end."""
    edge = Edge(tmp, number=number, ports=ports)
    await edge.start(carrier_transport=transport, audio=audio)
    try:
        yield edge
    finally:
        await edge.close()
