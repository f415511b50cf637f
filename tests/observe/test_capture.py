"""SIP capture: messages are collected per call and leg, delivered, then freed; in virtual time."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import pytest
import pytest_asyncio
from structlog.testing import capture_logs

from proxy.call.identity_profile import IdentityProfile
from proxy.call.routing import Destination, Trunk
from proxy.observe import capture, unanswered
from proxy.observe.capture import LATE_S, SOON_S, Capture
from proxy.observe.trace import TracedMessage
from proxy.sip.digest import DigestClient
from proxy.sip.digest_server import DigestServer
from proxy.sip.message import Request, Response, parse_message
from proxy.transport.flow import Target
from proxy.ua.challenger import Challenger
from proxy.ua.digest_trunks import DigestTrunks
from proxy.ua.reason import EndReason
from proxy.ua.transactions import NullUser
from screening.contract import Refusal, Refuse
from tests.kit import messages
from tests.kit.edge import (
    CARRIER,
    EDGE,
    HOST,
    OPENAI,
    PHONE_NUMBER,
    STRANGER,
    TRUNK,
    Edge,
    a_number,
    an_edge,
)

pytestmark = pytest.mark.virtual


@dataclass
class Watched:
    """An edge with a `Capture` attached, and each delivered trace: time, call and messages."""

    edge: Edge
    capture: Capture
    delivered: list[tuple[float, str, Sequence[TracedMessage]]]

    async def over(self, calls: int = 1) -> float:
        """Wait for ``calls`` calls to end and report the last one to the capture; return the time."""
        await self.edge.over(calls)
        record = self.edge.records[-1]
        self.capture.over(record.call, ((leg.name, leg.call_ids) for leg in record.legs))
        return self.edge.now

    @property
    def tracked(self) -> int:
        """How many Call-IDs the capture is tracking."""
        return len(self.capture._dialogs)


@pytest_asyncio.fixture
async def watched(tmp_path: Path) -> AsyncIterator[Watched]:
    async with an_edge(tmp_path, audio=False) as edge:
        yield watching(edge)


def watching(edge: Edge) -> Watched:
    delivered: list[tuple[float, str, Sequence[TracedMessage]]] = []
    capture = Capture(lambda call, seen: delivered.append((edge.now, call, seen)), lambda: edge.now)
    edge.core.traces.append(capture)
    return Watched(edge, capture, delivered)


def messages_of(seen: Sequence[TracedMessage], leg: str) -> list[str]:
    """Each message of a leg as its method or status, after `>` if sent, `<` if received."""
    parsed = [(each.sent, parse_message(each.octets)) for each in seen if each.leg == leg]
    return [
        f"{'>' if sent else '<'} {message.method if isinstance(message, Request) else message.status}"
        for sent, message in parsed
    ]


async def test_every_message_of_every_leg_is_captured_in_order(watched: Watched) -> None:
    edge = watched.edge
    await edge.bridges()
    await edge.carrier.hangs_up()
    await watched.over()
    await edge.assert_clean()
    [(_, call, seen)] = watched.delivered
    assert call == edge.record.call
    caller = ["< INVITE", "> 100", "> 180", "> 200", "< ACK", "< BYE", "> 200"]
    assert messages_of(seen, "caller") == caller
    assert messages_of(seen, "agent")[:4] == ["> INVITE", "< 100", "< 200", "> ACK"]
    told = [each for each in messages_of(seen, "agent") if each in ("< REFER", "> 202", "> NOTIFY", "> BYE")]
    assert told == ["< REFER", "> 202", "> NOTIFY", "> NOTIFY", "> BYE"]
    challenged = ["> INVITE", "< 407", "> ACK", "> INVITE", "< 200", "> ACK", "> BYE", "< 200"]
    assert messages_of(seen, "phone") == challenged
    assert [each.at for each in seen] == sorted(each.at for each in seen)
    first = next(each for each in seen if each.leg == "agent")
    assert (first.transport, first.local[0], first.remote) == ("tls", EDGE, (OPENAI, 5061))
    assert watched.tracked == 0


async def test_a_trace_is_delivered_soon_after_the_call_and_again_if_messages_followed(
    watched: Watched,
) -> None:
    edge = watched.edge
    await edge.bridges()
    edge.wire.lose = lambda source, destination, data: data.startswith(b"BYE")
    edge.registry.going_on()[0].end(EndReason.BY_USER)
    ended = await watched.over()
    await edge.time_passes(LATE_S + 1)
    (soon, _, early), (late, _, whole) = watched.delivered
    assert (soon - ended, late - ended) == pytest.approx((SOON_S, LATE_S))
    assert messages_of(whole, "phone").count("> BYE") == 11  # §17.1.2.2: at 0, T1, 3*T1 … until 64*T1
    assert len(early) < len(whole)
    assert watched.tracked == 0


async def test_a_leg_retried_with_another_identity_is_captured_whole(tmp_path: Path) -> None:
    identity = IdentityProfile.ORIGINAL_WITH_DIVERSION
    trunk = Trunk("trunk", "sip:trunk.example.com", "screendoor", "secret", "+14155550100", identity=identity)
    place = Destination(f"sip:{PHONE_NUMBER}@trunk.example.com", PHONE_NUMBER, trunk)
    number = a_number(destinations=(place,))
    async with an_edge(tmp_path, audio=False, number=number) as edge:
        watched = watching(edge)
        await edge.connects()
        await edge.agent.refers(f"tel:{PHONE_NUMBER}")
        await edge.phone.rejects(403)
        await edge.phone.answers()
        await edge.agent.receives("BYE")
        await edge.carrier.hangs_up()
        await watched.over()
        await edge.assert_clean()
        [(_, _, seen)] = watched.delivered
        assert messages_of(seen, "phone").count("> INVITE") == 4
        assert "< 403" in messages_of(seen, "phone")


async def test_messages_of_a_refused_invite_without_a_call_are_freed(watched: Watched) -> None:
    edge = watched.edge
    await edge.carrier.invites(dialed="+14155550000")
    await edge.carrier.receives(404)
    assert watched.tracked == 1
    await edge.time_passes(LATE_S + 1)
    assert (watched.tracked, watched.delivered) == (0, [])


async def test_requests_of_unanswered_strangers_are_not_captured(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The edge parses their requests if they contain one of our usernames, but no call end frees them."""
    edge = watched.edge
    edge.gate.usernames = (b"alice",)
    monkeypatch.setattr(unanswered, "MAX_CALL_IDS", 3)
    flow = await edge.host.connect(Target("udp", (STRANGER, 5060), STRANGER))
    for number in range(9):
        request = messages.invite(branch=f"z9hG4bKs{number}", call_id=f"s{number}")
        edge.core.received(flow, request.encode())
    assert edge.gate.counts["unknown"] == 9
    assert (watched.tracked, watched.capture._octets, len(watched.capture._unanswered)) == (0, 0, 3)
    await edge.bridges()
    await edge.carrier.hangs_up()
    await watched.over()
    await edge.time_passes(LATE_S + 1)
    [(_, _, seen)] = watched.delivered
    assert messages_of(seen, "caller")[:2] == ["< INVITE", "> 100"]


def let_in_by_password(edge: Edge) -> None:
    """Add a trunk that proves itself by its password."""
    challenger = Challenger(edge.core, edge.gate, DigestServer(HOST, b"secret"))
    edge.core.authenticated_peers.add(DigestTrunks(edge.gate, challenger, {"pbx": ("trunk", "pw")}))
    edge.gate.usernames = (b"pbx",)


def called_as_pbx(number: int, *, call_id: str = "") -> Request:
    return messages.invite(
        "sip:+14155551234@sbc.example.com", branch=f"z9hG4bKp{number}", call_id=call_id or f"p{number}",
        cseq=number + 1, contact=f"<sip:pbx@{STRANGER}:5060>", sent_by=f"{STRANGER}:5060",
    )  # fmt: skip


def challenges(edge: Edge) -> list[Response]:
    """The challenges sent so far; nobody stands at the stranger's address to receive them."""
    return [cast(Response, parse_message(each.data)) for each in edge.wire.lost if b" 401 " in each.data]


async def test_challenged_strangers_take_a_bounded_share_of_the_capture(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever knows the name of a trunk gets a challenge, and may never send credentials."""
    edge = watched.edge
    let_in_by_password(edge)
    monkeypatch.setattr(unanswered, "MAX_CALL_IDS", 3)
    flow = await edge.host.connect(Target("udp", (STRANGER, 5060), STRANGER))
    for number in range(9):
        edge.core.received(flow, called_as_pbx(number).encode())
    await edge.time_passes(1)
    assert len(challenges(edge)) == 9
    assert (watched.tracked, watched.capture._octets, len(watched.capture._unanswered)) == (0, 0, 3)


async def test_an_authenticated_call_is_captured_with_its_challenge(watched: Watched) -> None:
    edge = watched.edge
    let_in_by_password(edge)
    edge.screener.planned = Refuse(Refusal.BLOCKED)
    flow = await edge.host.connect(Target("udp", (STRANGER, 5060), STRANGER))
    first = called_as_pbx(1, call_id="c")
    edge.core.received(flow, first.encode())
    await edge.time_passes(1)
    [challenge] = challenges(edge)
    ack = messages.within(first, "ACK", to_tag=challenge.to_tag, branch="z9hG4bKp1", cseq=2)
    edge.core.received(flow, ack.encode())
    again = called_as_pbx(2, call_id="c")
    for name, value in DigestClient("pbx", "pw").authorize(again, challenge, "cnonce"):
        again.headers.add(name, value)
    edge.core.received(flow, again.encode())
    await watched.over()
    await edge.time_passes(LATE_S + 1)
    caller = messages_of(watched.delivered[-1][2], "caller")
    assert caller[:6] == ["< INVITE", "> 401", "< ACK", "< INVITE", "> 100", "> 603"]
    assert (watched.tracked, watched.capture._octets, len(watched.capture._unanswered)) == (0, 0, 0)


async def test_an_invite_retransmitted_after_its_refusal_is_freed_too(watched: Watched) -> None:
    edge = watched.edge
    await edge.carrier.invites(dialed="+14155550000")
    await edge.carrier.receives(404)
    await edge.time_passes(1)
    invite = next(each.data for each in edge.wire.trace if each.data.startswith(b"INVITE"))
    flow = await edge.host.connect(Target("udp", (CARRIER, 5060), CARRIER))
    edge.core.received(flow, invite)
    await edge.time_passes(2 * LATE_S)
    assert watched.tracked == 0


async def test_a_call_refused_by_the_screening_is_captured(watched: Watched) -> None:
    edge = watched.edge
    edge.screener.planned = Refuse(Refusal.BLOCKED)
    await edge.carrier.invites()
    await edge.carrier.receives(603)
    await watched.over()
    await edge.time_passes(LATE_S + 1)
    [(_, _, seen)] = watched.delivered
    assert messages_of(seen, "caller") == ["< INVITE", "> 100", "> 603", "< ACK"]
    assert watched.tracked == 0


async def test_messages_outside_of_calls_are_not_captured(watched: Watched) -> None:
    edge = watched.edge
    flow = await edge.host.connect(Target("udp", (TRUNK, 5060), TRUNK))
    edge.core.launch(messages.request("OPTIONS"), flow, NullUser())
    await edge.time_passes(1)
    assert watched.tracked == 0


async def test_the_capture_is_limited_in_octets_and_messages(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    edge = watched.edge
    monkeypatch.setattr(capture, "MAX_OCTETS", 0)
    monkeypatch.setattr(capture, "MAX_MESSAGES", 2)
    with capture_logs() as logs:
        await edge.connects()
        await edge.carrier.hangs_up()
        await watched.over()
    said = [line["event"] for line in logs if line["log_level"] == "warning"]
    assert said == ["SIP of new calls not kept"]  # of the agent leg
    await edge.time_passes(LATE_S + 1)
    [(_, _, seen)] = watched.delivered
    assert messages_of(seen, "caller") == ["< INVITE", "> 100"]
    assert messages_of(seen, "agent") == []


async def test_closing_the_capture_delivers_pending_traces_once(watched: Watched) -> None:
    edge = watched.edge
    await edge.connects()
    await edge.carrier.hangs_up()
    await watched.over()
    watched.capture.close()
    assert [call for _, call, _ in watched.delivered] == [edge.record.call]
    await edge.assert_clean()
    assert len(watched.delivered) == 1
