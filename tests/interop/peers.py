"""Starts other implementations' user agents as the edge's caller, agent and phone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from proxy.transport.devcert import write_certificates
from tests.interop.baresip_agent import AutoAnswer, Baresip
from tests.interop.pjsua_agent import Pjsua
from tests.sipp.edge_checks import EdgeChecks
from tests.sipp.edge_process import DIALED, HOST, PHONE, EdgeProcess
from tests.sipp.ports import free_block, free_port

CALLERS_NUMBER = "+14155557777"
CALLERS_TONE, AGENTS_TONE, PHONES_TONE = 500, 700, 900


class BaresipListener:
    """The TLS port to which the edge sends calls for its agent, and the agent's certificate."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.plain_port = free_block(2)
        self.port = self.plain_port + 1
        write_certificates(folder, ["localhost", HOST])
        self.certificate = folder / "agent.pem"
        self.certificate.write_bytes(
            (folder / "privkey.pem").read_bytes() + (folder / "fullchain.pem").read_bytes()
        )


class Peers(EdgeChecks):
    """Starts the peers of one test, and stops them when it ends."""

    def __init__(self, edge: EdgeProcess, agent_listener: BaresipListener, folder: Path) -> None:
        super().__init__(edge)
        self._listener, self._folder = agent_listener, folder

    def caller(self, *, transport: str = "udp", srtp: str = "") -> Baresip:
        """A caller, already dialling."""
        caller = self._start("caller", CALLERS_NUMBER, free_port(), CALLERS_TONE, transport, srtp=srtp)
        caller.command("dial", f"sip:{DIALED}@{HOST}:{self.edge.port};transport={transport}")
        return caller

    def agent(self, *, srtp: str = "") -> Baresip:
        """The voice agent, over TLS."""
        return self._start(
            "agent",
            "agent",
            self._listener.plain_port,
            AGENTS_TONE,
            "tls",
            self._listener.certificate,
            srtp=srtp,
        )

    def phone(self, *, auto_answer: bool = False, srtp: str = "") -> Baresip:
        """The user's phone; `auto_answer`: whether it answers automatically."""
        kind = AutoAnswer if auto_answer else Baresip
        return self._stack.enter_context(
            kind(
                self._folder, name="phone", user=PHONE, port=self.edge.phone_port, tone=PHONES_TONE, srtp=srtp
            )
        )

    def pjsua_agent(self, *, srtp: str = "off", suite: str = "") -> Pjsua:
        """The voice agent, over TLS, with PJSIP."""
        return self._stack.enter_context(
            Pjsua(
                self._folder, name="agent", user="agent", port=self._listener.plain_port, tone=AGENTS_TONE,
                certificates=self._listener.folder, srtp=srtp, suite=suite,
            )
        )  # fmt: skip

    def pjsua_caller(self, *, srtp: str = "off", suite: str = "") -> Pjsua:
        """A caller with PJSIP, already dialling."""
        caller = self._stack.enter_context(
            Pjsua(
                self._folder, name="caller", user=CALLERS_NUMBER, port=free_port(), tone=CALLERS_TONE,
                srtp=srtp, suite=suite,
            )
        )  # fmt: skip
        caller.command("dial", f"sip:{DIALED}@{HOST}:{self.edge.port}")
        return caller

    def record(self) -> dict[str, Any]:
        """The record of this test's only call; waits until it has been written."""
        (record,) = self.records()
        return record

    def registering_phone(
        self, name: str = "desk", *, password: str, tone: int = PHONES_TONE, transport: str = "udp"
    ) -> Baresip:
        """A phone that can register as alice."""
        registrar = f"{HOST}:{self.edge.port}"
        return self._stack.enter_context(
            Baresip(
                self._folder, name=name, user="alice", port=free_port(), tone=tone, transport=transport,
                account={"registrar": registrar, "password": password},
            )
        )  # fmt: skip

    def _start(
        self, name: str, user: str, port: int, tone: int, transport: str = "udp",
        certificate: Path | None = None, *, srtp: str = "",
    ) -> Baresip:  # fmt: skip
        return self._stack.enter_context(
            Baresip(
                self._folder, name=name, user=user, port=port, tone=tone, transport=transport,
                certificate=certificate, srtp=srtp,
            )
        )  # fmt: skip
