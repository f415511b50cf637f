"""Tombstones of transactions: repeats are absorbed, answered again, or passed on (RFC 3261 §17)."""

from __future__ import annotations

import asyncio

from proxy.sip.message import Request
from proxy.transport.flow import Flow
from proxy.ua.driver import Message
from proxy.ua.tombstones import ABSORBER, AcceptedByPeer, AcceptedByUs, Resender
from proxy.ua.transactions import ServerTransaction
from tests.kit import messages
from tests.ua.test_route import AFlow
from tests.ua.user_agent import UserAgent

INVITE = messages.invite()


class RecordingUser:
    """A transaction user that records the messages it receives."""

    def __init__(self) -> None:
        self.heard: list[Message] = []

    def received(self, message: Message) -> None:
        self.heard.append(message)

    def failed(self, error: Exception) -> None:
        raise AssertionError(error)


def test_the_absorber_ignores_every_message_rfc3261_17() -> None:
    ABSORBER.receive(INVITE)
    ABSORBER.receive(messages.ok(INVITE))


class RecordingCore:
    """A core that records what is retransmitted."""

    def __init__(self) -> None:
        self.sent: list[tuple[Flow, bytes]] = []

    def emit_again(self, flow: Flow, data: bytes) -> None:
        self.sent.append((flow, data))


def test_a_resender_answers_a_retransmitted_request_or_non_2xx_with_the_same_bytes_rfc3261_17() -> None:
    core, flow = RecordingCore(), AFlow("udp", ("192.0.2.7", 5060))
    late = Resender(b"the same", flow, core)
    late.receive(messages.bye(INVITE, to_tag="t"))
    late.receive(messages.response(INVITE, 486))
    late.receive(messages.ringing(INVITE))
    assert core.sent == [(flow, b"the same")] * 2


def test_after_acceptance_by_the_peer_only_2xx_responses_are_passed_up_rfc6026_7_2() -> None:
    user = RecordingUser()
    late = AcceptedByPeer(user)
    ok = messages.ok(INVITE)
    for response in (ok, messages.ringing(INVITE), messages.response(INVITE, 486), ok):
        late.receive(response)
    assert user.heard == [ok, ok]


class AckRecorder:
    """A core that records the ACKs it receives."""

    def __init__(self) -> None:
        self.heard: list[Request] = []

    def acknowledged(self, ack: Request) -> None:
        self.heard.append(ack)


def test_after_our_2xx_a_retransmitted_invite_is_absorbed_and_its_ack_passed_up_rfc6026_7_1() -> None:
    core = AckRecorder()
    late = AcceptedByUs("tag", core)
    ack = messages.ack(INVITE, to_tag="bob1")
    late.receive(INVITE)
    late.receive(ack)
    late.cancelled(messages.cancel(INVITE))
    assert core.heard == [ack]
    assert (late.tag, late.answered) == ("tag", True)


async def test_a_retransmitted_options_gets_the_same_response_for_32_seconds_rfc3261_17_2_2(
    ua: UserAgent,
) -> None:
    options = messages.request("OPTIONS")
    await ua.peer.says(options)
    first = await ua.peer.hears(200)
    for _ in range(3):
        await asyncio.sleep(10)
        await ua.peer.says(options)
    await asyncio.sleep(1.9)
    assert [each.encode() for each in ua.peer.all(200)] == [first.encode()] * 4
    assert len(ua.core.servers) == 1
    await asyncio.sleep(0.2)
    assert len(ua.core.servers) == 0


async def test_resending_on_a_closed_flow_does_nothing(ua: UserAgent) -> None:
    await ua.peer.says(messages.invite())
    flow = (await ua.invited()).flow
    await ua.network.close()
    assert flow.closed
    ua.core.emit_again(flow, messages.ok(INVITE).encode())


async def test_a_cancel_after_our_200_gets_a_200_with_the_same_to_tag(ua: UserAgent) -> None:
    await ua.peer.says(INVITE)
    transaction = await ua.invited()
    assert isinstance(ua.core.servers.get(transaction.key), ServerTransaction)
    transaction.reply(200, [("Contact", "<sip:us@x>")])
    assert isinstance(ua.core.servers.get(transaction.key), AcceptedByUs)
    await ua.peer.says(messages.cancel(INVITE))
    to_invite, to_cancel = await ua.peer.hears(200), await ua.peer.hears(200)
    assert to_invite.to_tag == to_cancel.to_tag == transaction.tag
    assert str(to_cancel.cseq) == "1 CANCEL"
