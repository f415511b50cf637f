"""Runs the edge as a process, with stunnel terminating TLS for the agent's SIPp, which has none."""

from __future__ import annotations

import json
import re
import sys
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Protocol
from urllib.error import HTTPError

from proxy.transport.devcert import write_certificates
from tests.sipp.ports import free_block, free_port
from tests.sipp.process import Process, installed

ROOT: Final = Path(__file__).parents[2]
HOST: Final = "127.0.0.1"
START_S = 20.0
MEDIA_PORTS = 200
DIALED = "+14155551234"
PHONE = "+14155559876"
PASSWORD = "secret"

COMMAND = [sys.executable, "-c", "from proxy.cli import main; main()"]
"""Runs `screendoor` from the source tree, so it need not be installed."""

SETTINGS = """\
records = "{folder}/calls.jsonl"
memory = {{ url = "sqlite:///{folder}/screendoor.db"{memory} }}

[public]
host = "{host}"
address = "127.0.0.1"

[[listen]]
transport = "udp"
bind = "127.0.0.1:{sip}"

[[listen]]
transport = "tcp"
bind = "127.0.0.1:{sip}"

[[listen]]
transport = "tls"
bind = "127.0.0.1:{tls}"
certificate = "{certificates}/fullchain.pem"
key = "file:{certificates}/privkey.pem"

[media]
mode = "{mode}"
ports = "{media}-{media_end}"
bind = "127.0.0.1"

[[trunk]]
name = "sipp"
from = ["{trunk}"]
outbound = "sip:{trunk}:{phone}"
probe_s = 0
username = "screendoor"
password = "env:SIPP_TRUNK_PASSWORD"
caller_id = "+14155550100"
srtp = "{trunk_srtp}"

[[agent]]
name = "sipp"
provider = "sip"
sip = "sip:agent@localhost:{stunnel};transport=tls"
srtp = "{srtp}"
ca = "{certificates}/ca.pem"

[screening]
voicemail_dir = "{folder}/voicemail"

[http]
bind = "127.0.0.1:{http}"

[[number]]
dialed = "{dialed}"
destinations = ["sip:{to}@trunk:sipp"]
confirm = "off"
ring_limit_s = 10
{number}

[drain]
limit_s = 20

[limits]
{limits}

[log]
level = "{level}"
"""

STUNNEL = """\
foreground = yes
pid =
debug = notice
[agent]
accept = 127.0.0.1:{stunnel}
connect = 127.0.0.1:{agent}
cert = {folder}/fullchain.pem
key = {folder}/privkey.pem
TIMEOUTclose = 0
"""


class StunnelServer(Process):
    """stunnel as TLS server: accepts TLS from the edge, connects to the agent's SIPp over TCP."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port, self.agent_port = folder, free_port(), free_port()
        write_certificates(folder, ["localhost", HOST])
        settings = folder / "stunnel.conf"
        settings.write_text(STUNNEL.format(stunnel=self.port, agent=self.agent_port, folder=folder))
        program = installed("stunnel4", "stunnel4")
        super().__init__([program, str(settings)], folder / "stunnel.log", cwd=folder)
        self.wait_for_port("tcp", self.port)


class AgentListener(Protocol):
    """Where the agent listens: a TLS port on localhost, and the folder of its certificates."""

    folder: Path
    port: int


class EdgeProcess(Process):
    """``screendoor run`` with a phone behind a trunk, and an agent over TLS; ready once constructed."""

    def __init__(
        self, folder: Path, stunnel: AgentListener, *, password: str = PASSWORD, host: str = "localhost",
        trunk: str = HOST, limits: str = "", more: str = "", srtp: tuple[str, str] = ("off", "accept"),
        mode: str = "relay", number: str = "", level: str = "info", memory: str = "",
        screendoor: Sequence[str] = COMMAND,
    ) -> None:  # fmt: skip
        """`trunk`: the address of the only trunk; `limits`, `number`: further lines of these sections;
        `more`: further sections; `srtp`: of the agent and of the trunk; `mode`: the media mode (relayed in
        userspace here, the shipped default in the interop tests); `level`: the log level; `memory`: further
        keys of that table, with a leading comma; `screendoor`: the command to run.
        """
        self.folder, self.port, self.phone_port = folder, free_port(), free_port()
        self.tls_port, self._http = free_port(), free_port()
        media = free_block(MEDIA_PORTS)
        self.media_ports = range(media, media + MEDIA_PORTS)
        settings = folder / "screendoor.toml"
        settings.write_text(
            SETTINGS.format(
                host=host, folder=folder, certificates=stunnel.folder, sip=self.port, tls=self.tls_port,
                http=self._http, phone=self.phone_port, stunnel=stunnel.port, dialed=DIALED, to=PHONE,
                media=media, media_end=media + MEDIA_PORTS - 1, trunk=trunk, limits=limits,
                srtp=srtp[0], trunk_srtp=srtp[1],
                mode=mode, number=number, level=level, memory=memory,
            )
            + more
        )  # fmt: skip
        environ = {"SIPP_TRUNK_PASSWORD": password, "PYTHONPATH": str(ROOT)}
        command = [*screendoor, "run", "--config", str(settings)]
        super().__init__(command, folder / "screendoor.log", cwd=folder, environ=environ)
        self.settings = settings
        self.ready(self._healthy, "/healthz answers", within_s=START_S)

    @property
    def health(self) -> dict[str, Any]:
        """The JSON document from /healthz."""
        try:
            answer = urllib.request.urlopen(f"http://{HOST}:{self._http}/healthz", timeout=5)
        except HTTPError as draining:  # 503
            answer = draining
        with answer:
            said: dict[str, Any] = json.load(answer)
        return said

    @property
    def calls(self) -> int:
        """The number of calls in progress."""
        return int(self.health["calls"])

    @property
    def finished(self) -> int:
        """The number of ended calls, whether or not their records are written yet."""
        return self._metric(r"screendoor_calls_total\{.*\}")

    @property
    def kernel_streams(self) -> int:
        """The number of streams that the kernel currently forwards."""
        return self._metric("screendoor_kernel_streams")

    @property
    def records(self) -> list[dict[str, Any]]:
        """The records of ended calls, oldest first."""
        path = self.folder / "calls.jsonl"
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        return [json.loads(line) for line in lines]

    def _metric(self, name: str) -> int:
        with urllib.request.urlopen(f"http://{HOST}:{self._http}/metrics", timeout=5) as answer:
            said = answer.read().decode()
        return round(sum(map(float, re.findall(rf"^{name} (\S+)$", said, re.MULTILINE))))

    def _healthy(self) -> bool:
        try:
            return bool(self.health["status"] == "ok")
        except OSError:
            return False
