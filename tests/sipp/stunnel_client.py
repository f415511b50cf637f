"""stunnel as TLS client: accepts TCP from a calling SIPp, connects to the edge over TLS and verifies it."""

from __future__ import annotations

from pathlib import Path

from tests.sipp.edge_process import EdgeProcess
from tests.sipp.ports import free_port
from tests.sipp.process import Process, installed

SETTINGS = """\
foreground = yes
pid =
debug = notice
[edge]
client = yes
accept = 127.0.0.1:{port}
connect = 127.0.0.1:{edge}
CAfile = {certificates}/ca.pem
verifyChain = yes
checkIP = 127.0.0.1
TIMEOUTclose = 0
"""


class StunnelClient(Process):
    """Forwards each TCP connection at its port to the edge over TLS."""

    def __init__(self, folder: Path, certificates: Path, edge: EdgeProcess) -> None:
        self.port = free_port()
        settings = folder / "stunnel_client.conf"
        settings.write_text(SETTINGS.format(port=self.port, edge=edge.tls_port, certificates=certificates))
        program = installed("stunnel4", "stunnel4")
        super().__init__([program, str(settings)], folder / "stunnel_client.log", cwd=folder)
        self.wait_for_port("tcp", self.port)
