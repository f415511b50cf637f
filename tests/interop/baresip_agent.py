"""Controls baresip, an independent SIP stack in C, as a peer of the edge: caller, agent or phone."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tests.sipp.edge_process import ROOT
from tests.sipp.ports import free_block
from tests.sipp.process import Process, until

FRAMES = 25
"""Frames in half a second of a tone."""
AUDIO_PORTS = 16
"""Chosen here: baresip's default of 10000 to 20000 overlaps the ports of other programs."""
SILENCE_S = 0.5
START_S = 20.0


class Baresip(Process):
    """A running baresip that sends `tone` (Hz) during a call; ready once constructed.

    It listens on `port` over UDP and TCP, and on the next port over TLS if it has a certificate.
    """

    child = "tests.interop.baresip_child"

    def __init__(
        self, folder: Path, *, name: str, user: str, port: int, tone: int, transport: str = "udp",
        certificate: Path | None = None, account: dict[str, str] | None = None, srtp: str = "",
    ) -> None:  # fmt: skip
        """`account`: `registrar` and `password`, if it is to register. `srtp`: its `mediaenc` setting."""
        audio = free_block(AUDIO_PORTS)
        config = [f"sip_listen 127.0.0.1:{port}", f"rtp_ports {audio}-{audio + AUDIO_PORTS - 1}"]
        if certificate is not None:
            config.append(f"sip_certificate {certificate}")
        settings = {
            "user": user, "port": port, "tone": tone, "transport": transport, "config": config,
            "extra": [f"mediaenc={srtp}"] if srtp else [], **(account or {}), **self.settings(),
        }  # fmt: skip
        command = [sys.executable, "-m", self.child, json.dumps(settings)]
        output = folder / f"{name}.log"
        self.name, self.tone = name, tone
        super().__init__(
            command, output, cwd=folder, environ={"PYTHONPATH": str(ROOT)}, stdin=subprocess.PIPE
        )
        self.ready(lambda: self.events("up"), f"{name} is up", within_s=START_S)

    def settings(self) -> dict[str, object]:
        """Further settings for the child process."""
        return {}

    def events(self, what: str) -> list[dict[str, Any]]:
        """The events of this kind that it has reported so far."""
        lines = [line for line in self.printed.splitlines() if line.startswith("{") and line.endswith("}")]
        return [event for event in map(json.loads, lines) if event["what"] == what]

    def wait_for(self, what: str, count: int = 1) -> dict[str, Any]:
        """Wait until it has reported this event `count` times; returns the last of these."""
        until(lambda: len(self.events(what)) >= count, f"{self.name} tells {what}\n{self._log_without_audio}")
        return self.events(what)[count - 1]

    def command(self, command: str, *words: str) -> None:
        """Send it a command; the outcome is reported as events."""
        self.write_line(json.dumps([command, *words]))

    def frames_heard(self, other: Baresip) -> int:
        """How many frames of the other peer's tone it has received."""
        return sum(event["tone"] == other.tone for event in self.events("heard"))

    def wait_to_hear(self, other: Baresip) -> None:
        """Wait until it has received another half second of the other peer's tone."""
        enough = self.frames_heard(other) + FRAMES
        until(
            lambda: self.frames_heard(other) >= enough,
            f"{self.name} hears {other.name}\n{self._log_without_audio}",
        )

    def wait_for_silence(self) -> None:
        """Wait until it has received no tone for `SILENCE_S`."""
        last = len(self.events("heard")), time.monotonic()

        def silent() -> bool:
            nonlocal last
            count, now = len(self.events("heard")), time.monotonic()
            if count != last[0]:
                last = count, now
            return now - last[1] > SILENCE_S

        until(silent, f"{self.name} hears nothing\n{self._log_without_audio}")

    @property
    def _log_without_audio(self) -> str:
        return "\n".join(line for line in self.printed.splitlines() if '"heard"' not in line)


class AutoAnswer(Baresip):
    """A baresip that answers every call automatically."""

    def settings(self) -> dict[str, object]:
        return {"answers": True}


def both_hear(one: Baresip, other: Baresip) -> None:
    """Wait until each has received half a second of the other's tone."""
    one.wait_to_hear(other)
    other.wait_to_hear(one)


def hold_and_resume(holder: Baresip, other: Baresip) -> None:
    """Hold the other until it falls silent, then resume until both hear each other again."""
    holder.command("hold")
    holder.wait_for("did_hold")
    holder.wait_for_silence()
    holder.command("resume")
    holder.wait_for("did_resume")
    both_hear(holder, other)
