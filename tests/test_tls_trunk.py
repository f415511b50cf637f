"""Complete calls over mutual TLS between the real edge and a carrier."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from proxy.app import App
from proxy.call.outcome import Result
from proxy.call.record import CallRecord
from proxy.config import parse
from proxy.lab.carrier import Carrier
from proxy.lab.phone import Phone
from proxy.transport.devcert import SERVER_AUTH, Authority, make_authority
from proxy.transport.network import SocketNetwork
from proxy.transport.tls import ClientRules, ClientTls, ServerTls, TlsProfiles
from proxy.transport.tls_policy import TlsPolicy
from tests.sipp.ports import free_range

pytestmark = pytest.mark.network

HERE = "127.0.0.1"
OLD = TlsPolicy(max_version="1.2", ciphers="AES128-SHA:AES256-SHA256")
"""Bandwidth's cipher suites: RSA key exchange with CBC, TLS 1.2 only."""

SETTINGS = """
records = ""
memory = { url = "off" }
public = { host = "HERE", address = "HERE" }
media = { bind = "HERE", ports = "RANGE" }
http = { bind = "HERE:0" }
log = { level = "error" }

[[listen]]
transport = "tls"
bind = "HERE:0"
certificate = "edge.pem"
key = "edge.key"
client_certificates = "require"
client_ca = "carrier-ca.pem"

[[trunk]]
name = "carrier"
from = ["tls:sip.carrier.example"]
outbound = "sip:localhost:PORT;transport=tls"
username = "screendoor"
password = "file:password"
keep_connected = true

[trunk.tls]
max_version = "1.2"
ciphers = "AES128-SHA:AES256-SHA256"
certificate = "edge.pem"
key = "edge.key"
ca = "carrier-ca.pem"
name = "sip.carrier.example"
verify = "sip-domain"

[[number]]
dialed = "+14155551234"
screen = "off"
destinations = ["sip:+14155559876@trunk:carrier"]
confirm = "off"
""".replace("RANGE", free_range(100))


class MutualTlsEdge:
    """The edge, the carrier that calls it, and the phone that the carrier rings."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ours, self.theirs = make_authority("ours"), make_authority("theirs")
        (folder / "carrier-ca.pem").write_bytes(self.theirs.cert_pem)
        (folder / "our-ca.pem").write_bytes(self.ours.cert_pem)
        (folder / "password").write_text("secret")
        self.issue("edge", self.ours, ["localhost"], ips=[HERE], rsa_bits=2048)
        # serverAuth only, as public CAs issue it; its DNS name is not the SIP domain it serves.
        self.issue(
            "carrier",
            self.theirs,
            ["host7.example"],
            uri_sans=["sip:sip.carrier.example"],
            ekus=[SERVER_AUTH],
            rsa_bits=2048,
        )
        self.records: asyncio.Queue[CallRecord] = asyncio.Queue()
        self.stack = AsyncExitStack()

    def issue(self, stem: str, by: Authority, names: list[str], **extra: object) -> None:
        certificate, key = by.issue(names, **extra)  # type: ignore[arg-type]
        (self.folder / f"{stem}.pem").write_bytes(certificate)
        (self.folder / f"{stem}.key").write_bytes(key)

    def network(self, stem: str = "carrier") -> SocketNetwork:
        """A carrier's network, which presents a client certificate when it connects."""
        files = self.folder / f"{stem}.pem", self.folder / f"{stem}.key"
        rules = ClientRules(self.folder / "our-ca.pem", (), *files)
        return SocketNetwork(profiles=TlsProfiles(ClientTls(rules=rules), {}))

    async def start(self) -> None:
        tls = ServerTls(
            self.folder / "carrier.pem",
            self.folder / "carrier.key",
            OLD,
            "require",
            self.folder / "our-ca.pem",
        )
        self.phone = Phone(self.network(), transport="tls", tls=tls)
        await self.phone.start()
        self.stack.push_async_callback(self.phone.close)
        text = SETTINGS.replace("HERE", HERE).replace("PORT", str(self.phone.address[1]))
        told = parse(text, {}, file="test.toml", folder=self.folder)
        self.app = await self.stack.enter_async_context(App(told, finished=self.records.put_nowait))
        self.port = self.app.advertised.ports["tls"]
        self.carrier = await self.calling(self.network())

    async def calling(self, network: SocketNetwork) -> Carrier:
        tls = ServerTls(self.folder / "carrier.pem", self.folder / "carrier.key")
        carrier = Carrier(network, edge=f"{HERE}:{self.port}", transport="tls", tls=tls)
        await carrier.start()
        self.stack.push_async_callback(carrier.close)
        return carrier

    async def bridged(self) -> None:
        """Set up a bridged call."""
        await self.carrier.invites()
        await self.phone.answers()
        await self.carrier.receives(200)
        assert (await self.carrier.requests("OPTIONS")).status == 200  # answered after the ACK was processed

    async def over(self) -> CallRecord:
        return await asyncio.wait_for(self.records.get(), 10)


@pytest.fixture
async def edge(tmp_path: Path) -> AsyncIterator[MutualTlsEdge]:
    made = MutualTlsEdge(tmp_path)
    async with made.stack:
        await made.start()
        yield made


async def test_a_call_is_admitted_by_client_certificate_and_sent_with_the_trunk_tls_settings(
    edge: MutualTlsEdge,
) -> None:
    await edge.bridged()
    flow = edge.phone.current.flow
    assert flow.peer_names == {"localhost"}
    assert flow._engine.cipher == "AES128-SHA"  # type: ignore[attr-defined]
    await edge.carrier.current.hangs_up()
    assert (await edge.over()).outcome.result is Result.BRIDGED  # type: ignore[union-attr]
    # The call used the connection kept open since startup.
    assert [one.inbound for one in edge.app.network.connections].count(False) == 1
    assert edge.carrier.faults == edge.phone.faults == []


async def test_a_client_certificate_for_another_name_gets_no_answer(edge: MutualTlsEdge) -> None:
    edge.issue("other", edge.theirs, ["sip.other.example"])
    other = await edge.calling(edge.network("other"))
    await other.invites()
    await other.receives_nothing(for_s=0.5)
    assert edge.records.empty()


async def test_a_certificate_renewed_during_a_call_does_not_end_the_call(edge: MutualTlsEdge) -> None:
    await edge.bridged()
    before = edge.phone.current.flow
    edge.issue("edge", edge.ours, ["localhost", "renewed.example"], ips=[HERE], rsa_bits=2048)
    newcomer = await edge.calling(edge.network())
    await newcomer.invites(dialed="+14155550000")
    await newcomer.receives(404)
    assert not before.closed
    await edge.carrier.reinvites(hold=True)
    await edge.carrier.current.hangs_up()
    assert (await edge.over()).outcome.result is Result.BRIDGED  # type: ignore[union-attr]
    assert edge.carrier.faults == edge.phone.faults == []


async def test_connections_lost_during_a_call_are_reopened_and_the_call_ends_normally(
    edge: MutualTlsEdge,
) -> None:
    """Carrier and phone lose their connections; the caller's BYE and ours each open a new one."""
    await edge.bridged()
    networks = [peer.network for peer in (edge.carrier, edge.phone)]
    assert all(isinstance(network, SocketNetwork) for network in networks)
    dead = [flow for network in networks for flow in network.connections]  # type: ignore[attr-defined]
    for flow in dead:
        flow.abort()
    await asyncio.gather(*(flow.socket_closed for flow in dead))
    await edge.carrier.current.hangs_up()
    await edge.phone.receives("BYE")
    assert (await edge.over()).outcome.result is Result.BRIDGED  # type: ignore[union-attr]
    assert edge.carrier.faults == edge.phone.faults == []
