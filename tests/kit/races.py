"""Tools for race tests: an edge whose legs may all use UDP, and peers that send single messages.

async def test_both_hang_up(new_edge, leg, seed):
    async with race_edge(new_edge, seed) as edge:
        call = await established_call(edge, leg)
        rough_network(edge, seed)  # from here on messages are slow, and cross
        our_leg(edge, leg).end(EndReason.COMPLETED)
        await call.sends("BYE")
        ...
        await end_and_assert_clean(edge)
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, overload

from proxy.call.routing import Agent, Confirmation
from proxy.call.sound import EarlyMedia, Sound
from proxy.lab.expect import Message, Unexpected, is_what, meets
from proxy.lab.message_templates import PHONE_SDP, sdp
from proxy.lab.peer import Peer
from proxy.lab.peer_call import PeerCall
from proxy.lab.peer_sdp import moved_to
from proxy.lab.retransmission import Retransmission
from proxy.sip.message import Request, Response
from proxy.sip.values import Via
from proxy.transport.flow import Address, Flow
from proxy.ua.leg import Leg
from tests.kit.edge import EDGE, PHONE_NUMBER, Edge, NewEdge, a_number
from tests.kit.rule_checker import RuleChecker

LEGS = ("caller", "agent", "phone")
SLOW_S = 0.1
"""One-way delay once messages are to cross."""
SDP = sdp(PHONE_SDP)


@asynccontextmanager
async def race_edge(
    new_edge: NewEdge,
    seed: int = 0,
    *,
    agent: str = "udp",
    phone: str = "udp",
    confirm: Confirmation = Confirmation.OFF,
    early: EarlyMedia = EarlyMedia.RINGBACK,
    announcement: str | None = None,
    **options: Any,
) -> AsyncIterator[Edge]:
    """An edge without audio; `agent` and `phone` are the transports of their legs.

    `seed`: of random loss and reordering, 0 for none; `confirm`: what the phone must do to accept;
    `announcement`: calls are recorded, and this is played first. At the end `RuleChecker` must have found no
    violation, whatever happened.
    """
    number = a_number(agent=Agent("local", f"sip:bot@sip.api.openai.com:5061;transport={agent}"))
    number = replace(
        number, sound=Sound(early_media=early), record=announcement is not None, announcement=announcement
    )
    uri = f"{number.destinations[0].uri};transport={phone}"
    place = replace(number.destinations[0], uri=uri, confirm=confirm)
    options |= {"number": replace(number, destinations=(place,)), "phone_transport": phone}
    async with new_edge(audio=False, seed=seed or 1, **options) as edge:
        edge.rule_checker = RuleChecker(edge.core)
        yield edge
        violations = edge.rule_checker.violations()
        assert not violations, violations


def rough_network(edge: Edge, seed: int) -> None:
    """From here on datagrams cross, and, unless the seed is 0, are lost, duplicated and reordered."""
    edge.wire.delay_s = SLOW_S / (10 if seed else 1)  # a reordered one takes up to twenty times as long
    if seed:
        edge.wire.impair(loss=0.15, duplication=0.15, reordering=0.3)


async def established_call(edge: Edge, leg: str) -> PeerCall:
    """Set up a call in which this leg is in use; returns its peer's side."""
    await (edge.connects() if leg == "agent" else edge.bridges())
    return peer(edge, leg).current


def peer(edge: Edge, leg: str) -> Peer:
    return dict(zip(LEGS, edge.peers, strict=True))[leg]


def our_leg(edge: Edge, leg: str) -> Leg:
    """Our side of a leg that has a dialog."""
    legs = (each for each in edge.core._dialogs.values() if isinstance(each, Leg))
    return next(each for each in legs if each.name == leg)


async def end_and_assert_clean(edge: Edge, *, calls: int = 1, faults: bool = True) -> None:
    """End the call if nobody has, and assert that nothing is left."""
    if edge.carrier.call is not None and not edge.carrier.call.over:
        await edge.carrier.call.sends("BYE")
        edge.carrier.call.finish()
    await edge.assert_clean(calls=calls, faults=faults)


@overload
async def wait_to_receive(call: PeerCall, what: str, **conditions: object) -> Request: ...
@overload
async def wait_to_receive(call: PeerCall, what: int, **conditions: object) -> Response: ...
async def wait_to_receive(
    call: PeerCall, what: str | int, *, within_s: float = 70.0, **conditions: object
) -> Message:
    """Wait until such a message has come, in whatever order; returns the first one."""
    woken = asyncio.Event()
    call.peer._watch = lambda peer, traced: woken.set()
    try:
        async with asyncio.timeout(within_s):
            while not (found := messages_received(call, what, **conditions)):
                woken.clear()
                await woken.wait()
            return found[0]
    except TimeoutError:
        raise Unexpected(f"{call.peer.name} never heard {what} {conditions or ''}\n{call}") from None


def messages_received(call: PeerCall, what: str | int, **conditions: object) -> list[Any]:
    """Every such message so far, including retransmissions."""
    received = [each.message for each in call.trace if each.direction == "<"]
    return [each for each in received if is_what(each, what) and meets(each, conditions)]


def arrival_times(call: PeerCall, what: str | int, **conditions: object) -> list[float]:
    """The times at which such messages came."""
    received = [each for each in call.trace if each.direction == "<"]
    return [each.at for each in received if is_what(each.message, what) and meets(each.message, conditions)]


def resend(call: PeerCall, message: Message) -> None:
    """Send a message once more, unchanged."""
    call._put(call.flow, message)


def resend_on_new_branch(call: PeerCall, request: Request) -> Request:
    """Send the same request with another branch, as a forking proxy delivers it (§8.2.2.2)."""
    copy = Request(request.method, request.uri, request.headers.copy(), request.body)
    vias = copy.headers.split("Via")
    copy.headers.remove("Via")
    for via in reversed([str(Via.parse(vias[0]).with_("branch", call.peer.ids.branch())), *vias[1:]]):
        copy.headers.prepend("Via", via)
    call._put(call.flow, copy)
    return copy


def withhold_acks(call: PeerCall) -> None:
    """From now on the peer sends no ACK for our 2xx by itself; `call.acks()` sends one."""
    call.peer.auto.discard("ACK")


class DroppedMessages:
    """Loses messages with these start lines that the edge sends to an address, or gets from it."""

    def __init__(self, edge: Edge, address: str, *start_lines: str, to_edge: bool = False) -> None:
        self.lost: list[bytes] = []
        self._edge, self._address, self._lines, self._to_edge = edge, address, start_lines, to_edge

    def __enter__(self) -> DroppedMessages:
        self._edge.wire.lose = self._loses
        return self

    def __exit__(self, *_: object) -> None:
        self._edge.wire.lose = lambda source, destination, data: False

    def _loses(self, source: Address, destination: Address, data: bytes) -> bool:
        ends = (self._address, EDGE) if self._to_edge else (EDGE, self._address)
        hit = (source[0], destination[0]) == ends and data.startswith(
            tuple(line.encode() for line in self._lines)
        )
        if hit:
            self.lost.append(data)
        return hit


class ForkBranch:
    """One more branch of a forked INVITE of ours: a To tag of its own behind the phone's trunk."""

    def __init__(self, call: PeerCall, tag: str) -> None:
        assert call.invite is not None
        self.call, self.tag, self.invite = call, tag, call.invite
        self._flow: Flow = call.flow
        self._cseq = 0
        self._resend: Retransmission | None = None

    def rings(self, status: int = 180) -> None:
        self._says(status, b"")

    def answers(self) -> None:
        """Send a 200, retransmitted until its ACK."""
        response = self._says(200, moved_to(SDP, self.call.peer.audio))
        self._resend = Retransmission(lambda: self._again(response))

    def requests(self, method: str, *, body: bytes = b"") -> Request:
        """Send a request in the dialog of this branch, once."""
        self._cseq += 1
        local = f"{self.invite.headers.get('To')};tag={self.tag}"
        request = self.call._build(method, self._cseq, self.call.peer.vias(self.call.peer.ids.branch()), body)
        request.headers.set("From", local)
        self.call._put(self._flow, request)
        return request

    def messages_received(self, method: str) -> list[Request]:
        """The requests that came for this branch."""
        return [each for each in messages_received(self.call, method) if each.to_tag == self.tag]

    def _again(self, response: Response) -> None:
        if self.messages_received("ACK") and self._resend is not None:
            return self._resend.stop()
        self.call._put(self._flow, response)

    def _says(self, status: int, body: bytes) -> Response:
        kind = "application/sdp" if body else None
        response = self.invite.reply(status, to_tag=self.tag, body=body, content_type=kind)
        response.headers.add("Contact", self.call.contact)
        for route in reversed(self.call.routes):
            response.headers.add("Record-Route", route)
        self.call._put(self._flow, response)
        return response


async def phone_rings(edge: Edge) -> PeerCall:
    """The caller talks to the agent, whose REFER makes the phone ring."""
    await edge.connects()
    await edge.agent.refers(f"tel:{PHONE_NUMBER}")
    return await edge.phone.rings()


def methods_received(call: PeerCall) -> list[str]:
    """The methods of the requests that came, in order, including retransmissions."""
    received = [each.message for each in call.trace if each.direction == "<"]
    return [each.method for each in received if isinstance(each, Request)]
