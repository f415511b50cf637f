"""Calls bridged between IPv6 and IPv4, over real sockets on ::1 and 127.0.0.1."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from proxy.app import App
from proxy.call.record import CallRecord
from proxy.config import parse
from proxy.lab.audio import CALLER_HZ, PHONE_HZ, TonePeer
from proxy.lab.carrier import Carrier
from proxy.lab.phone import Phone
from proxy.media.udp import SocketMedia
from proxy.sip.message import Request
from proxy.transport.devcert import make_authority
from proxy.transport.network import SocketNetwork
from proxy.transport.tls import ClientTls, ServerTls
from tests.sipp.ports import free_range

pytestmark = pytest.mark.network

FOUR, SIX = "127.0.0.1", "::1"
PHONE_NUMBER = "+14155559876"
SETTINGS = """
records = ""
memory = { url = "off" }
public = { host = "127.0.0.1", address = "127.0.0.1", address6 = "::1" }
media = { bind = "127.0.0.1", bind6 = "::1", ports = "RANGE" }
http = { bind = "127.0.0.1:0" }
listen = [
    { transport = "udp", bind = "127.0.0.1:0" },
    { transport = "tcp", bind = "127.0.0.1:0" },
    { transport = "tls", bind = "127.0.0.1:0", certificate = "edge.pem", key = "file:edge-key.pem" },
    { transport = "udp", bind = "[::1]:0" },
    { transport = "tcp", bind = "[::1]:0" },
    { transport = "tls", bind = "[::1]:0", certificate = "edge.pem", key = "file:edge-key.pem" },
]

[[trunk]]
name = "carrier"
from = ["127.0.0.0/8", "::1"]
outbound = "sip:PHONE"
username = "screendoor"
password = "env:TRUNK_PASSWORD"
caller_id = "+14155550100"
probe_s = 0

[[number]]
dialed = "+14155551234"
destinations = ["sip:+14155559876@trunk:carrier"]
confirm = "off"
screen = "off"
""".replace("RANGE", free_range(100))


@dataclass
class Stage:
    app: App
    carrier: Carrier
    phone: Phone
    record: asyncio.Future[CallRecord]
    caller_audio: TonePeer
    phone_audio: TonePeer


@asynccontextmanager
async def a_stage(folder: Path, *, caller: str, phone: str, transport: str = "udp") -> AsyncIterator[Stage]:
    """The complete edge between a caller and a phone on these addresses."""
    authority, media = make_authority(), SocketMedia()
    (folder / "ca.pem").write_bytes(authority.cert_pem)
    certificate, key = authority.issue(["localhost"], [FOUR, SIX])
    (folder / "edge.pem").write_bytes(certificate)
    (folder / "edge-key.pem").write_bytes(key)
    caller_audio, phone_audio = TonePeer(media, caller, CALLER_HZ), TonePeer(media, phone, PHONE_HZ)
    callee = Phone(SocketNetwork(), bind=(phone, 0), audio=phone_audio)
    await callee.start()
    text = SETTINGS.replace("PHONE", f"{callee.host}:{callee.address[1]}")
    settings = parse(text, {"TRUNK_PASSWORD": "secret"}, file="ipv6.toml", folder=folder)
    record: asyncio.Future[CallRecord] = asyncio.get_running_loop().create_future()
    app = App(settings, finished=record.set_result)
    async with app:
        ports = app.advertised.ports6 if ":" in caller else app.advertised.ports
        edge = f"[{caller}]" if ":" in caller else caller
        trunk = Carrier(
            SocketNetwork(client_tls=ClientTls(folder / "ca.pem")),
            edge=f"{edge}:{ports[transport]}",
            bind=(caller, 0),
            transport=transport,
            tls=ServerTls(folder / "edge.pem", folder / "edge-key.pem"),
            audio=caller_audio,
        )
        await trunk.start()
        yield Stage(app, trunk, callee, record, caller_audio, phone_audio)
    for peer in (trunk, callee):
        await peer.close()
        assert peer.faults == []
    caller_audio.close()
    phone_audio.close()


@pytest.mark.parametrize(
    ("caller", "phone", "transport"),
    [(SIX, FOUR, "udp"), (SIX, FOUR, "tcp"), (SIX, FOUR, "tls"), (FOUR, SIX, "udp"), (SIX, SIX, "udp")],
)
async def test_a_call_is_bridged_between_ip_versions(
    tmp_path: Path, caller: str, phone: str, transport: str
) -> None:
    async with a_stage(tmp_path, caller=caller, phone=phone, transport=transport) as stage:
        call = await stage.carrier.invites()
        called = await stage.phone.answers()
        answer = await stage.carrier.receives(200)
        async with asyncio.timeout(10):
            while not (stage.caller_audio.hears(PHONE_HZ) and stage.phone_audio.hears(CALLER_HZ)):
                await asyncio.sleep(0.05)
        await stage.carrier.hangs_up()
        await asyncio.wait_for(stage.record, 10)
    assert _network(answer.body) == _expected_address(caller)
    assert answer.contact is not None
    assert answer.contact.uri.host == _in_uri(caller)
    assert call.over
    invite = called.invite
    assert isinstance(invite, Request)
    assert _network(invite.body) == _expected_address(phone)
    assert invite.contact is not None
    assert {invite.via.host, invite.contact.uri.host} == {_in_uri(phone)}


def _network(sdp: bytes) -> list[str]:
    """The address type and address of the o= and c= lines."""
    lines = [line for line in sdp.decode().splitlines() if line[:2] in ("o=", "c=")]
    return sorted({line.partition("IN ")[2] for line in lines})


def _expected_address(address: str) -> list[str]:
    return [f"IP6 {address}" if ":" in address else f"IP4 {address}"]


def _in_uri(address: str) -> str:
    return f"[{address}]" if ":" in address else address
