"""Screendoor with default settings: policy, records, metrics, and the log at INFO in a file."""

from __future__ import annotations

import random
import re
import sys
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from bench.place import Place
from bench.process import Program
from tests.sipp.ports import free_port

ROOT: Final = Path(__file__).parents[2]
RUN: Final = (sys.executable, "-c", "from proxy.cli import main; main()")
"""`screendoor`, whether or not it is installed."""
START_S = 20.0
MEDIA: Final = range(33000, 64000)
PORTS_OF_A_CALL: Final = 4
"""RTP and RTCP of both legs."""

SETTINGS = """\
records = "{folder}/calls.jsonl"
memory = {{ url = "sqlite:///{folder}/screendoor.db" }}

[public]
host = "127.0.0.1"
address = "127.0.0.1"

[[listen]]
transport = "udp"
bind = "127.0.0.1:{near}"

[media]
mode = "{mode}"
ports = "{media}"
inactivity_s = 0
bind = "127.0.0.1"

[[trunk]]
name = "bench"
from = ["127.0.0.1"]

[http]
bind = "127.0.0.1:{http}"

[limits]
calls = {calls}
calls_per_destination_per_hour = 0

[drain]
limit_s = 0

[log]
level = "info"

[[number]]
dialed = "*"
screen = "off"
destinations = ["sip:callee@127.0.0.1:{far}{param}"]
"""

PROBED = """
[[number]]
dialed = "probe"
screen = "off"
destinations = ["sip:probe@127.0.0.1:{probe}"]
"""

SECURE_AUDIO = """
[[trunk]]
name = "secure"
from = ["192.0.2.1"]
outbound = "sip:127.0.0.1:{probe}"
caller_id = "+14155550100"
srtp = "require"

[[number]]
dialed = "probe"
screen = "off"
confirm = "off"               # of somebody who is called by a trunk it would be press-1
destinations = ["sip:+14155559876@trunk:secure"]
"""

TRUSTING = """
[[listen]]
transport = "tls"
bind = "127.0.0.1:{tls}"
certificate = "{folder}/fullchain.pem"
key = "file:{folder}/privkey.pem"

[[agent]]                     # it screens nobody here; its authority is trusted on every TLS leg
name = "bench"
provider = "sip"
sip = "sip:agent@127.0.0.1:{far};transport=tls"
srtp = "off"
ca = "{folder}/ca.pem"
"""


class Screendoor(Program):
    """``screendoor run`` with one number that rings at once; ready once constructed."""

    def __init__(self, place: Place, *, run: Sequence[str] = RUN, mode: str = "auto") -> None:
        """`run` starts it another way, such as under a profiler; `mode` is another media mode."""
        self._http = free_port()
        probed = SECURE_AUDIO if place.srtp else PROBED if place.probe else ""
        text = SETTINGS + probed + (TRUSTING if place.secure else "")
        settings = place.folder / "screendoor.toml"
        settings.write_text(
            text.format(
                folder=place.folder, near=place.near, far=place.far, param=place.param, probe=place.probe,
                calls=place.calls, http=self._http, tls=free_port(), media=_media(place.calls), mode=mode,
            ),
            encoding="utf-8",
        )  # fmt: skip
        super().__init__(
            [*run, "run", "--config", str(settings)], place.folder / "screendoor.log", cwd=place.folder,
            core=place.core, environ={"PYTHONPATH": str(ROOT)},
        )  # fmt: skip
        self.ready(self._healthy, "/healthz answers", within_s=START_S)

    @property
    def kernel_streams(self) -> int:
        """The number of streams that the kernel currently forwards."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self._http}/metrics", timeout=5) as answer:
            said = answer.read().decode()
        found = re.search(r"^screendoor_kernel_streams (\S+)$", said, re.MULTILINE)
        return 0 if found is None else round(float(found[1]))

    def _healthy(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._http}/healthz", timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False


def _media(calls: int) -> str:
    """A port range for that many calls, at a random place so that two Screendoors do not collide."""
    size = min(calls * PORTS_OF_A_CALL, len(MEDIA))
    first = random.randrange(MEDIA.start, MEDIA.stop - size + 1, 2)
    return f"{first}-{first + size - 1}"
