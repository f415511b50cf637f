"""Runs the edge on the loopback interface, with numbers that ring the test phone without screening."""

from __future__ import annotations

import re
import urllib.request
from pathlib import Path
from typing import Final

from proxy.transport.devcert import write_certificates
from tests.sipp.edge_process import COMMAND, ROOT, START_S
from tests.sipp.ports import free_block, free_port
from tests.sipp.process import Process, until
from tests.torture.phone import Phone

TRANSPORTS: Final = ("udp", "tcp", "tls")
NUMBERS: Final = {"udp": "+14155550001", "tcp": "+14155550002", "tls": "+14155550003"}
"""The number that rings the phone over each transport; any other user part rings it over UDP."""

SETTINGS = """\
records = "off"
memory = {{ url = "sqlite:///{folder}/screendoor.db" }}
[public]
host = "localhost"
address = "{host}"
{listeners}
[media]
ports = "{media}-{media_end}"
bind = "{host}"
[[trunk]]
name = "carrier"
from = ["{host}"]
[[agent]]
name = "nobody"
provider = "sip"
sip = "sip:agent@localhost:1;transport=tls"
srtp = "off"
ca = "{folder}/ca.pem"
[screening]
voicemail_dir = "{folder}/voicemail"
[http]
bind = "{bracketed}:{http}"
{numbers}
[drain]
limit_s = 0
[limits]
calls_per_destination_per_hour = 0
lag_s = 0
"""

LISTEN = """\
[[listen]]
transport = "{transport}"
bind = "{bracketed}:{port}"
certificate = "{folder}/fullchain.pem"
key = "file:{folder}/privkey.pem"
"""

NUMBER = """\
[[number]]
dialed = "{dialed}"
destinations = ["sip:phone@{bracketed}:{port};transport={transport}"]
screen = "off"
"""


class TortureEdge(Process):
    """The edge and its phone; `host`: the loopback address that they and the caller use."""

    def __init__(self, folder: Path, host: str = "127.0.0.1") -> None:
        self.host, self.folder = host, folder
        write_certificates(folder, ["localhost", "127.0.0.1", "::1"])
        self.phone = Phone(host, folder)
        self.ports = {transport: free_port() for transport in TRANSPORTS}
        self._http, media = free_port(), free_block(100)
        self._bracketed = f"[{host}]" if ":" in host else host
        settings = folder / "screendoor.toml"
        settings.write_text(
            SETTINGS.format(
                host=host, bracketed=self._bracketed, folder=folder, http=self._http, media=media,
                media_end=media + 99, listeners="".join(map(self._listener, TRANSPORTS)),
                numbers="".join(self._number(*each) for each in [*NUMBERS.items(), ("udp", "*")]),
            )
        )  # fmt: skip
        command = [*COMMAND, "run", "--config", str(settings)]
        super().__init__(command, folder / "screendoor.log", cwd=folder, environ={"PYTHONPATH": str(ROOT)})
        self.ready(self._healthy, "/healthz answers", within_s=START_S)

    def stop(self) -> None:
        super().stop()
        self.phone.close()

    def assert_unharmed(self) -> None:
        """Assert that the edge is running, no call is left, and the log contains no error."""
        assert self.exit_code is None, self.printed
        until(lambda: '"calls":0' in self._health().replace(" ", ""), f"no call left\n{self.printed}")
        assert not re.search(r"\[error|Traceback|not handled", self.printed), self.printed

    def _listener(self, transport: str) -> str:
        lines = LISTEN.format(
            transport=transport, bracketed=self._bracketed, port=self.ports[transport], folder=self.folder
        )
        return lines if transport == "tls" else "".join(lines.splitlines(keepends=True)[:3])

    def _number(self, transport: str, dialed: str) -> str:
        port = self.phone.ports[transport]
        host = "localhost" if transport == "tls" else self._bracketed
        return NUMBER.format(dialed=dialed, bracketed=host, port=port, transport=transport)

    def _health(self) -> str:
        with urllib.request.urlopen(f"http://{self._bracketed}:{self._http}/healthz", timeout=5) as answer:
            return str(answer.read().decode())

    def _healthy(self) -> bool:
        try:
            return "ok" in self._health()
        except OSError:
            return False
