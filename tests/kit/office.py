"""An edge with a registrar, and phones that register with it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from proxy.call.routing import Destination
from proxy.lab.audio import PHONE_HZ, TonePeer
from proxy.sip.digest_server import DigestServer
from proxy.sip.message import Request
from proxy.ua.challenger import Challenger
from proxy.ua.registrar import Phone, Registrar
from screening.contract import Ring
from tests.kit.desk_phone import DeskPhone
from tests.kit.edge import HOST, Edge, NewEdge, a_number

ALICE = Destination("sip:alice@registered", phone="alice")
BOB = Destination("sip:bob@registered", phone="bob")


class Office:
    """An edge with a registrar, and phones that register with it."""

    def __init__(self, edge: Edge) -> None:
        self.edge = edge
        self.desks: list[DeskPhone] = []
        self.voices: list[TonePeer] = []
        challenger = Challenger(edge.core, edge.gate, DigestServer(HOST, b"secret"))
        self.registrar = Registrar(edge.gate, challenger, [Phone("alice", "pw"), Phone("bob", "pw")])
        edge.core.authenticated_peers.add(self.registrar)
        edge.gate.usernames = (b"alice", b"bob")
        object.__setattr__(edge.registry._context, "phones", self.registrar.reachable)
        object.__setattr__(edge.registry._context, "new_contacts", self.registrar.new_contacts)

    async def desk(
        self,
        address: str = "192.0.2.101",
        *,
        user: str = "alice",
        transport: str = "udp",
        of: DeskPhone | None = None,
        instance: str = "",
        boot: str = "",
        behind: str = "",
    ) -> DeskPhone:
        """Register one more phone, or the phone `of` again from another address.

        `instance`: parameters of its Contact; `boot`: the Call-ID of its registrations; `behind`: its private
        address.
        """
        voice = TonePeer(self.edge.media, address, PHONE_HZ)
        desk = DeskPhone(
            self.edge.wire.host(address), address, user=user, transport=transport, audio=voice, edge=HOST
        )
        if of is not None:
            desk.behind, desk.boot, desk._numbers, desk.calls = of.behind, of.boot, of._numbers, of.calls
        desk.instance, desk.boot = instance, boot or desk.boot
        desk.behind = behind or desk.behind
        self.voices.append(voice)
        self.desks.append(desk)
        if self.edge.mode == "direct":
            desk.auto.add("INVITE")
        await desk.start()
        assert (await desk.registers()).status == 200
        return desk

    async def assert_clean(self, *, faults: bool = True) -> None:
        self.registrar.close()
        await self.edge.assert_clean()
        if faults:
            assert [desk.faults for desk in self.desks] == [[] for _ in self.desks]

    async def close(self) -> None:
        self.registrar.close()
        for voice in self.voices:
            voice.close()
        for desk in self.desks:
            await desk.close()


def has_received(desk: DeskPhone, method: str) -> bool:
    """Whether this phone has received such a request."""
    came = [each.message for each in desk.trace if each.direction == "<"]
    return any(isinstance(each, Request) and each.method == method for each in came)


@asynccontextmanager
async def an_office(
    new_edge: NewEdge, *destinations: Destination, **changes: object
) -> AsyncIterator[Office]:
    number = a_number(destinations=destinations or (ALICE,), **changes)
    async with new_edge(number=number) as edge:
        edge.screener.planned = Ring("a test")
        office = Office(edge)
        try:
            yield office
        finally:
            await office.close()
