"""Starts SIPp processes as the edge's carrier, agent and phone, and checks their results."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from tests.sipp.edge_checks import EdgeChecks
from tests.sipp.edge_process import DIALED, PASSWORD, PHONE, EdgeProcess, StunnelServer
from tests.sipp.ports import free_port
from tests.sipp.sipp import LIMIT_S, Sipp

USERNAME, REALM = "screendoor", "trunk.example.com"
PARAM = re.compile(r'(\w+)=(?:"([^"]*)"|([^\s,]+))')


class SippPeers(EdgeChecks):
    """Starts the peers of one test, waits for their results, and stops those still running when it ends."""

    def __init__(self, edge: EdgeProcess, stunnel: StunnelServer, folder: Path) -> None:
        super().__init__(edge)
        self._stunnel, self._folder = stunnel, folder

    def carrier(
        self, scenario: str, *, transport: str = "udp", calls: int = 1, talk_s: float = 0.3,
        audio: int | None = None, options: tuple[str, ...] = (), dialed: str = DIALED,
        through: int | None = None, via: str | None = None,
    ) -> Sipp:  # fmt: skip
        """A trunk that calls; `talk_s`: how long it talks before it does what the scenario's name says.

        `through`: the port of a proxy on the way to the edge; `via`: the transport that the edge sees.
        """
        keys = {
            "dialed": dialed,
            "via": (via or transport).upper(),
            "audio_port": audio or free_port(),
            "inner_port": free_port(),
            "route_param": ";transport=tcp" if transport == "tcp" else "",
        }
        # All calls at once, with a CSeq number like SignalWire's.
        options = ("-r", "100", "-l", str(calls), "-base_cseq", "105354320", *options)
        return self._stack.enter_context(
            Sipp(
                scenario, self._folder, remote=through or self.edge.port, transport=transport, calls=calls,
                talk_s=talk_s, keys=keys, options=options,
            )
        )  # fmt: skip

    def agent(self, scenario: str, *, calls: int = 1, talk_s: float = 0.3, audio: int | None = None) -> Sipp:
        """A voice agent, reached over TLS through the stunnel."""
        keys = {
            "audio_port": audio or free_port(),
            "tls_port": self._stunnel.port,
            "refer_to": f"tel:{PHONE}",
        }
        return self._stack.enter_context(
            Sipp(
                scenario, self._folder, port=self._stunnel.agent_port, transport="tcp", calls=calls,
                talk_s=talk_s, keys=keys,
            )
        )  # fmt: skip

    def phone(
        self, scenario: str, *, calls: int = 1, talk_s: float = 0.3, audio: int | None = None,
        port: int | None = None, moved_to: str = "",
    ) -> Sipp:  # fmt: skip
        """The user's phone, behind a trunk that asks for a password, or directly on `port`."""
        keys = {"audio_port": audio or free_port(), "trunk_password": PASSWORD, "moved_to": moved_to}
        return self._stack.enter_context(
            Sipp(
                scenario, self._folder, port=port or self.edge.phone_port, calls=calls, talk_s=talk_s,
                keys=keys,
            )
        )  # fmt: skip

    def all_succeed(self, *peers: Sipp) -> None:
        """Wait until every peer has ended; assert that all their calls followed the scenarios."""
        for peer in peers:
            if peer.wait(LIMIT_S + 5) != 0:
                break
        for peer in peers:
            peer.wait(1)
        faults = [peer.fault for peer in peers if peer.fault]
        assert not faults, "\n\n".join([*faults, f"--- log of the edge\n{self.log}"])

    def assert_authenticated(self, phone: Sipp) -> None:
        """Assert that all credentials the phone received are correct, computed here (RFC 2617 §3.2.2).

        SIPp itself can verify Authorization, but not Proxy-Authorization.
        """
        shown = re.findall(r"credentials (Digest .*)", phone.notes)
        assert len(shown) == phone.calls, phone.notes
        for credentials in shown:
            said = {name: quoted or bare for name, quoted, bare in PARAM.findall(credentials)}
            ha1 = _md5(f"{USERNAME}:{REALM}:{PASSWORD}")
            ha2 = _md5(f"INVITE:{said['uri']}")
            right = ":".join([ha1, said["nonce"], "00000001", said["cnonce"], "auth", ha2])
            assert (said["username"], said["realm"], said["qop"]) == (USERNAME, REALM, "auth"), credentials
            assert said["response"] == _md5(right), credentials

    def ports_of(self, peer: Sipp) -> list[int]:
        """The audio ports of the edge that were offered to a peer, in order."""
        return [int(port) for port in re.findall(r"(?:audio|port) (\d+)", peer.notes)]

    def port_of(self, peer: Sipp) -> int:
        """The edge's audio port for a peer that was given exactly one."""
        (port,) = self.ports_of(peer)
        return port


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
