"""Measures screened calls through ``screendoor run``; this process is carrier, OpenAI and phone.

Run as ``python -m bench.decision_once TRANSFER CALLS``: prints as JSON the milliseconds that Screendoor
itself takes from the tool call's event to the phone's INVITE, and from the webhook to ``/accept``. All delays
of the lab are zero. With ``refer``, the time between our POST and OpenAI's REFER is not counted.
"""

from __future__ import annotations

import asyncio
import base64
import json
import secrets
import sys
import tempfile
import time
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any, Final

import httpx2
from starlette.applications import Starlette
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bench.peers.screendoor import ROOT, RUN, START_S
from bench.process import Program
from proxy import log
from proxy.lab.carrier import Carrier
from proxy.lab.openai_api import OpenAiLab
from proxy.lab.openai_conversation import Conversation
from proxy.lab.openai_faults import Faults
from proxy.lab.openai_sip import AgentCall, OpenAiSip
from proxy.lab.peer_call import PeerCall
from proxy.lab.phone import Phone
from proxy.sip.message import Response
from proxy.transport.devcert import write_certificates
from proxy.transport.flow import Flow
from proxy.transport.network import SocketNetwork
from proxy.transport.tls import ClientTls, ServerTls
from tests.sipp.ports import free_port

HERE: Final = "127.0.0.1"
BOX_CORE: Final = 0
WARM: Final = 10
"""Warm-up calls before those that count."""
WITHIN_S: Final = 10.0
AT_ONCE: Final = Conversation(word_s=0.0, think_s=0.0)

SETTINGS = """\
records = "{folder}/calls.jsonl"
public = {{ host = "{here}", address = "{here}" }}
listen = [
    {{ transport = "udp", bind = "{here}:{udp}" }},
    {{ transport = "tls", bind = "{here}:{tls}", certificate = "fullchain.pem", key = "file:privkey.pem" }},
]
media = {{ bind = "{here}", ports = "40000-40999", inactivity_s = 0 }}
http = {{ bind = "{here}:{http}" }}
limits = {{ calls_per_destination_per_hour = 0 }}
drain = {{ limit_s = 0 }}

[[trunk]]
name = "carrier"
from = ["{here}"]
outbound = "sip:{here}:{phone}"
probe_s = 0
caller_id = "+14155550100"

[[agent]]
name = "openai"
sip = "sip:proj_LAB@{here}:{openai};transport=tls"
ca = "{folder}/ca.pem"
api_base = "{api}"
api_key = "env:OPENAI_API_KEY"
webhook_secret = "env:OPENAI_WEBHOOK_SECRET"
transfer = "{transfer}"

[screening]
repeat_s = 0

[[number]]
dialed = "+14155551234"
destinations = ["sip:+14155559876@trunk:carrier"]
confirm = "off"
"""

Marks = MutableMapping[str, float]
"""When each event of the current call happened, in seconds of `time.perf_counter`."""


def mark(marks: Marks, name: str) -> None:
    """Record the time of an event; only the first counts."""
    marks.setdefault(name, time.perf_counter())


class TimestampingApi:
    """The lab's API as ASGI application, with timestamps of requests and of the decision sent."""

    def __init__(self, app: ASGIApp, marks: Marks) -> None:
        self._app, self._marks = app, marks

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            mark(self._marks, scope["path"].rpartition("/")[2])

        async def sends(message: Message) -> None:
            text = message.get("text") or ""
            if '"response.output_item.done"' in text and '"function_call"' in text:
                mark(self._marks, "decided")
            await send(message)

        await self._app(scope, receive, sends)


class TimestampedApi(OpenAiLab):
    """OpenAI's API with timestamps."""

    marks: Marks

    def _app(self) -> Starlette:
        return TimestampingApi(super()._app(), self.marks)  # type: ignore[return-value]  # it is only called


class TimestampedSip(OpenAiSip):
    """OpenAI's end of the agent leg, with the timestamp of its REFER."""

    marks: Marks

    async def refer(self, call: PeerCall, target_uri: str, **more: Any) -> Response:
        mark(self.marks, "REFER")
        return await super().refer(call, target_uri, **more)


class TimestampedPhone(Phone):
    """The phone, with the timestamp of its INVITE as read from the socket."""

    marks: Marks

    def received(self, flow: Flow, data: bytes) -> None:
        if data.startswith(b"INVITE "):
            mark(self.marks, "INVITE")
        super().received(flow, data)


class Scene:
    """All the peers, and the calls made through Screendoor, one at a time."""

    def __init__(self, folder: Path, transfer: str) -> None:
        self.folder, self.transfer = folder, transfer
        self.marks: Marks = {}
        self.decided_ms: list[float] = []
        self.accepted_ms: list[float] = []
        self._agent_over = asyncio.Event()
        self.udp, self.tls, self.http = free_port(), free_port(), free_port()
        write_certificates(folder, ["localhost", HERE])
        trust = ClientTls(folder / "ca.pem")
        server = ServerTls(folder / "fullchain.pem", folder / "privkey.pem")
        self.key = secrets.token_hex(8)
        self.secret = "whsec_" + base64.b64encode(secrets.token_bytes(24)).decode()
        TimestampedApi.marks = self.marks
        url = f"http://{HERE}:{self.http}/openai/webhook"
        self.api = TimestampedApi(self.key, self.secret, url, Faults(), conversation=AT_ONCE)
        self.openai = TimestampedSip(SocketNetwork(client_tls=trust), tls=server, on_invite=self._announced)
        self.phone = TimestampedPhone(SocketNetwork(), challenges=False)
        self.openai.marks = self.phone.marks = self.marks
        self.carrier = Carrier(SocketNetwork(), edge=f"{HERE}:{self.udp}")

    async def play(self, calls: int) -> None:
        """Make the calls; AssertionError if one does not reach the phone."""
        async with self.api:
            for peer in (self.openai, self.phone, self.carrier):
                await peer.start()
            try:
                with await asyncio.to_thread(self._started):
                    for n in range(WARM + calls):
                        await self._call(counts=n >= WARM)
            finally:
                for peer in (self.openai, self.phone, self.carrier):
                    await peer.close()

    async def _call(self, *, counts: bool) -> None:
        self.marks.clear()
        self._agent_over.clear()
        call = await self.carrier.invites()
        ringing, over = await self.phone.invited(within_s=WITHIN_S), asyncio.Event()
        ringing.on_over.append(over.set)
        marks = dict(self.marks)
        await self.phone.rings()
        await call.receives(200, within_s=WITHIN_S)
        await call.hangs_up(within_s=WITHIN_S)
        async with asyncio.timeout(WITHIN_S):
            await asyncio.gather(over.wait(), self._agent_over.wait())
        if not counts:
            return
        own = marks["INVITE"] - marks["decided"]
        if self.transfer == "refer":
            own -= marks["REFER"] - marks["refer"]
        self.decided_ms.append(1000 * own)
        self.accepted_ms.append(1000 * (marks["accept"] - marks["webhook"]))

    def _announced(self, call: AgentCall) -> None:
        session = self.api.incoming(call.headers, call, call.security)
        call.on_over(session.ended)
        call.on_over(self._agent_over.set)

    def _started(self) -> Program:
        settings = self.folder / "screendoor.toml"
        text = SETTINGS.format(
            here=HERE, folder=self.folder, udp=self.udp, tls=self.tls, http=self.http,
            phone=self.phone.address[1], openai=self.openai.address[1], api=self.api.base_url,
            transfer=self.transfer,
        )  # fmt: skip
        settings.write_text(text, encoding="utf-8")
        environ = {"OPENAI_API_KEY": self.key, "OPENAI_WEBHOOK_SECRET": self.secret, "PYTHONPATH": str(ROOT)}
        program = Program(
            [*RUN, "run", "--config", str(settings)], self.folder / "screendoor.log", cwd=self.folder,
            core=BOX_CORE, environ=environ,
        )  # fmt: skip
        program.ready(self._healthy, "/healthz answers", within_s=START_S)
        return program

    def _healthy(self) -> bool:
        try:
            return bool(httpx2.get(f"http://{HERE}:{self.http}/healthz", trust_env=False).status_code == 200)
        except httpx2.HTTPError:
            return False


async def main(transfer: str, calls: int) -> None:
    """Measure, and print the results."""
    log.configure("error")
    with tempfile.TemporaryDirectory(prefix="screendoor-bench-") as folder:
        scene = Scene(Path(folder), transfer)

        async def posted(request: httpx2.Request) -> None:
            mark(scene.marks, "webhook")

        scene.api._http.event_hooks["request"].append(posted)
        await scene.play(calls)
        print(json.dumps({"decision": scene.decided_ms, "accept": scene.accepted_ms}))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
