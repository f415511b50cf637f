"""Sets up a whole scene on one machine: the real edge, surrounded by a carrier, an OpenAI and a phone."""

from __future__ import annotations

import asyncio
import base64
import secrets
import socket
import tempfile
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self, get_args

from proxy.app import App
from proxy.call.record import CallRecord
from proxy.config import Settings, parse
from proxy.lab.audio import AGENT_HZ, CALLER_HZ, PHONE_HZ, TonePeer
from proxy.lab.carrier import Carrier
from proxy.lab.openai_api import OpenAiLab
from proxy.lab.openai_call import SipSide
from proxy.lab.openai_conversation import Conversation
from proxy.lab.openai_faults import Faults
from proxy.lab.openai_sip import AgentCall, OpenAiSip
from proxy.lab.openai_tasks import Tasks
from proxy.lab.phone import Phone
from proxy.media.udp import SocketMedia
from proxy.transport.devcert import make_authority
from proxy.transport.flow import Flow
from proxy.transport.network import SocketNetwork
from proxy.transport.tls import ClientTls, ServerTls
from proxy.ua.driver import Message

HERE = "127.0.0.1"
Provider = Literal["realtime", "live", "live-client", "azure"]
PROVIDERS: tuple[Provider, ...] = get_args(Provider)
PHONE_NUMBER = "+14155559876"
MEDIA_PORTS = (21000, 28999)
"""Below the ephemeral port range of common systems."""

# lag_s: the peers and their audio share our event loop, so its lag says nothing about the edge.
SETTINGS = """
records = ""
public = {{ host = "{here}", address = "{here}" }}
listen = [
    {{ transport = "udp", bind = "{here}:0" }},
    {{ transport = "tcp", bind = "{here}:0" }},
    {{ transport = "tls", bind = "{here}:0", certificate = "edge.pem", key = "file:edge-key.pem" }},
]
media = {{ mode = "{media_mode}", bind = "{here}", ports = "{low}-{high}" }}
http = {{ bind = "{here}:0" }}
speech = {{ cache = "{folder}/speech" }}
memory = {{ url = "sqlite:///{folder}/screendoor.db" }}
limits = {{ lag_s = 0, calls_per_destination_per_hour = 0 }}

[[trunk]]
name = "carrier"
from = ["{here}"]
outbound = "sip:{here}:{phone_port}"
probe_s = 0
username = "screendoor"
password = "env:TRUNK_PASSWORD"
caller_id = "+14155550100"

[[agent]]
name = "openai"
{provider}
sip = "sip:proj_LAB@{here}:{openai_port};transport=tls"
ca = "{folder}/ca.pem"
api_key = "env:OPENAI_API_KEY"
webhook_secret = "env:OPENAI_WEBHOOK_SECRET"
refer_patience_s = 1.5
ready_limit_s = {ready_limit_s}

[screening]
talk_limit_s = {talk_limit_s}
on_failure = "ring"
voicemail_dir = "{folder}/voicemail"
recording_dir = "{folder}/recordings"
voicemail_limit_s = 20

[[number]]
dialed = "+14155551234"
destinations = [{destinations}]
ring_limit_s = {ring_limit_s}
{of_number}
"""


@dataclass(frozen=True, slots=True)
class Scenery:
    """How a scene differs from the plain one."""

    provider: Provider = "realtime"
    """The vendor of the voice AI; values are those of `screendoor demo --provider`."""
    openai: Faults = field(default_factory=Faults)
    conversation: Conversation = field(default_factory=Conversation)
    agent_trusted: bool = True
    """False: OpenAI's certificate is issued by an untrusted authority."""
    refers_on_new_connection: bool = False
    agent: Callable[[Stage, AgentCall], None] | None = None
    """Handles the agent's calls in place of the API."""
    carrier_transport: str = "udp"
    media_mode: str = "auto"
    """The default, so that the demo shows and tests what users get."""
    talk_limit_s: float = 30.0
    ring_limit_s: float = 20.0
    ready_limit_s: float = 5.0
    media_ports: int = 100
    """The number of media ports of the edge; a call takes six."""
    destinations: str = f'"sip:{PHONE_NUMBER}@trunk:carrier"'
    """Destinations of the dialed number, as written in the settings."""
    of_number: str = ""
    """Further settings of the dialed number."""


class Stage:
    """All parts of a scene, for the duration of an ``async with``."""

    def __init__(self, scenery: Scenery) -> None:
        self.scenery = scenery
        self._media_ports = _some_ports(scenery.media_ports)
        self.record: asyncio.Future[CallRecord] = asyncio.get_running_loop().create_future()
        self.traces: list[Callable[[str, Flow, Message], None]] = []
        """Called with every message that the edge sends or receives; set before entering."""
        self.records: list[Callable[[CallRecord], None]] = []
        """Called with the record of every finished call; `record` holds the first."""
        self._tasks = Tasks()
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        try:
            await self._set_up()
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    @property
    def peers(self) -> tuple[Carrier, OpenAiSip, Phone]:
        return self.carrier, self.openai, self.phone

    def left_over(self) -> list[str]:
        """Describe what remains of calls, except transactions that RFC 3261 keeps for a while."""
        edge = self.app.core.left_over()
        counts = {
            "calls": len(self.app.registry),
            "legs": edge["dialogs"],
            "media ports": self.app.ports.lent,
            "tasks": edge["tasks"],
            "billed sessions": len(self.openai_api.live_calls),
        }
        return [f"{count} {what}" for what, count in counts.items() if count]

    async def _set_up(self) -> None:
        folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="screendoor-")))
        self.folder = folder
        _certificates(folder, self.scenery.agent_trusted)
        key, secret = secrets.token_hex(8), "whsec_" + base64.b64encode(secrets.token_bytes(24)).decode()
        self.openai_api = await self._stack.enter_async_context(
            OpenAiLab(
                key,
                secret,
                "",
                self.scenery.openai,
                api="live" if self.scenery.provider.startswith("live") else "realtime",
                conversation=self.scenery.conversation,
            )
        )
        await self._set_up_peers(folder)
        environ = {"TRUNK_PASSWORD": "secret", "OPENAI_API_KEY": key, "OPENAI_WEBHOOK_SECRET": secret}
        self.app = App(self._settings(folder, environ), finished=self._finished)
        self.app.core.traces.extend(self.traces)
        await self._stack.enter_async_context(self.app)
        self.openai_api.webhook_url = f"http://{HERE}:{self.app.http_port}/openai/webhook"
        transport = self.scenery.carrier_transport
        self.carrier.edge = f"{HERE}:{self.app.advertised.ports[transport]}"

    async def _set_up_peers(self, folder: Path) -> None:
        media = SocketMedia()
        trust = ClientTls(folder / "ca.pem")
        edge_tls = ServerTls(folder / "edge.pem", folder / "edge-key.pem")
        openai_tls = ServerTls(folder / "openai.pem", folder / "openai-key.pem")
        self.caller_audio = TonePeer(media, HERE, CALLER_HZ)
        self.agent_audio = TonePeer(media, HERE, AGENT_HZ)
        self.phone_audio = TonePeer(media, HERE, PHONE_HZ)
        self.carrier = Carrier(
            SocketNetwork(client_tls=trust),
            edge="",
            transport=self.scenery.carrier_transport,
            tls=edge_tls,
            audio=self.caller_audio,
        )
        self.openai = OpenAiSip(
            SocketNetwork(client_tls=trust),
            tls=openai_tls,
            audio=self.agent_audio,
            refers_on_new_connection=self.scenery.refers_on_new_connection,
            on_invite=self._agent_called,
        )
        self.phone = Phone(SocketNetwork(), audio=self.phone_audio, takes_calls=True)
        for audio in (self.caller_audio, self.agent_audio, self.phone_audio):
            self._stack.callback(audio.close)
        for peer in self.peers:
            await peer.start()
            self._stack.push_async_callback(peer.close)
        self._stack.push_async_callback(self._tasks.close)

    def _settings(self, folder: Path, environ: dict[str, str]) -> Settings:
        low, high = self._media_ports
        text = SETTINGS.format(
            here=HERE,
            media_mode=self.scenery.media_mode,
            folder=folder,
            low=low,
            high=high,
            destinations=self.scenery.destinations,
            phone_port=self.phone.address[1],
            openai_port=self.openai.address[1],
            provider=self._provider(),
            talk_limit_s=self.scenery.talk_limit_s,
            ring_limit_s=self.scenery.ring_limit_s,
            ready_limit_s=self.scenery.ready_limit_s,
            of_number=self.scenery.of_number,
        )
        return parse(text, environ, file="the lab's settings", folder=folder)

    def _provider(self) -> str:
        """The settings that select the vendor."""
        api = self.openai_api
        match self.scenery.provider:
            case "azure":
                return f'provider = "azure-realtime"\nmodel = "lab"\napi_base = "{api.azure_url}"'
            case "live":
                return f'provider = "openai-live"\napi_base = "{api.base_url}"'
            case "live-client":
                return f'provider = "openai-live"\ndelegation = "client"\napi_base = "{api.base_url}"'
        return f'api_base = "{api.base_url}"'

    def _agent_called(self, call: AgentCall) -> None:
        """Handle an INVITE at OpenAI: by the API, unless this scene says otherwise."""
        if self.scenery.agent is not None:
            self.scenery.agent(self, call)
        else:
            self.announces(call)

    def announces(self, call: AgentCall, sip: SipSide | None = None) -> None:
        """Send OpenAI's webhook; the API then does with the call what screening asks for."""
        session = self.openai_api.incoming(call.headers, sip or call, call.security)
        call.on_over(lambda: session.ended() if call.call.answered else session.cancelled())

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run a peer's action in a task; it is cancelled with the stage."""
        self._tasks.start(work, "lab peer")

    def _finished(self, record: CallRecord) -> None:
        if not self.record.done():
            self.record.set_result(record)
        for told in self.records:
            told(record)


def _some_ports(count: int) -> tuple[int, int]:
    """Choose part of the media ports at random: other programs on this machine may hold some."""
    low, high = MEDIA_PORTS
    parts = list(range(low, high + 2 - count, count))
    secrets.SystemRandom().shuffle(parts)
    at = next((part for part in parts if _nobody_has(part, count)), parts[0])
    return at, at + count - 1


def _nobody_has(low: int, count: int) -> bool:
    for port in range(low, low + count):
        with socket.socket(type=socket.SOCK_DGRAM) as probe:
            try:
                probe.bind((HERE, port))
            except OSError:
                return False
    return True


def _certificates(folder: Path, agent_trusted: bool) -> None:
    authority = make_authority()
    (folder / "ca.pem").write_bytes(authority.cert_pem)
    for name, issuer in (("edge", authority), ("openai", authority if agent_trusted else make_authority())):
        certificate, key = issuer.issue(["localhost"], [HERE])
        (folder / f"{name}.pem").write_bytes(certificate)
        (folder / f"{name}-key.pem").touch(mode=0o600)
        (folder / f"{name}-key.pem").write_bytes(key)
