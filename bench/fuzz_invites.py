"""Sends malformed INVITEs by the hundred thousand to a server, which must stay up, answer, and not grow.

    python -m bench.fuzz_invites [--count 100000] [--rate 1000] [--seed 4475]

Starts `screendoor run` on the loopback interface and sends it damaged INVITEs like those of trunks (over UDP,
some over TCP). After each hundred an OPTIONS must be answered. Refusals are acknowledged and calls cancelled,
as a trunk does. Exits with 1 if the server died, did not answer, logged an internal error, or grew. Memory is
judged from when state expires as fast as it is created (transactions live 32 s, calls a minute), so only
longer runs judge it.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread

from bench.malformed import damaged
from tests.sipp.process import killed_with_parent

ROOT = Path(__file__).resolve().parents[1]
HOST = "127.0.0.1"
START = "from proxy.cli import main; main()"
BATCH = 100
WARM_S = 60.0
"""From then on memory must stay flat: tables and pools are full, the first transactions expired."""
MAX_GROWTH = 1.1
"""The C library keeps more and more freed memory for a while, though memory in use does not grow."""
ANSWER_S = 5.0

SETTINGS = """\
records = "off"
memory = {{ url = "sqlite:///{folder}/screendoor.db" }}
[public]
host = "{host}"
address = "{host}"
[[listen]]
transport = "udp"
bind = "{host}:{sip}"
[[listen]]
transport = "tcp"
bind = "{host}:{sip}"
[media]
inactivity_s = 0
ports = "{media}-{media_end}"
bind = "{host}"
[[trunk]]
name = "fuzzer"
from = ["{host}"]
[screening]
voicemail_dir = "{folder}/voicemail"
[http]
bind = "{host}:{http}"
[[number]]
dialed = "+14155551234"
destinations = ["sip:phone@{host}:{phone}"]
screen = "off"
[drain]
limit_s = 0
[limits]
calls_per_destination_per_hour = 0
lag_s = 0
[log]
level = "{level}"
"""

OPTIONS = """\
OPTIONS sip:{host}:{port} SIP/2.0
Via: SIP/2.0/UDP {host};branch=z9hG4bKprobe{n};rport
Max-Forwards: 70
From: <sip:probe@{host}>;tag=p{n}
To: <sip:{host}>
Call-ID: probe-{n}
CSeq: 1 OPTIONS
Content-Length: 0

"""


def free_port() -> int:
    """Return a port that is free on UDP and TCP, below the ephemeral range."""
    while True:
        port = random.randrange(12000, 32000)
        try:
            for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
                with socket.socket(socket.AF_INET, kind) as probe:
                    probe.bind((HOST, port))
        except OSError:
            continue
        return port


class Server:
    """`screendoor run` in its own process."""

    def __init__(self, folder: Path, phone: int, level: str = "info") -> None:
        self.sip, self._http = free_port(), free_port()
        media = 34000
        settings = folder / "screendoor.toml"
        settings.write_text(
            SETTINGS.format(
                host=HOST, sip=self.sip, http=self._http, phone=phone, folder=folder, media=media,
                media_end=media + 1999, level=level,
            )
        )  # fmt: skip
        self._log = folder / "screendoor.log"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                killed_with_parent([sys.executable, "-c", START, "run", "--config", str(settings)]),
                stdout=log, stderr=subprocess.STDOUT, cwd=folder, env={**os.environ, "PYTHONPATH": str(ROOT)},
            )  # fmt: skip
        self._wait_until_ready()

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    @property
    def resident_kib(self) -> int:
        """Its resident memory."""
        status = Path(f"/proc/{self._process.pid}/status").read_text(encoding="ascii")
        return int(re.findall(r"VmRSS:\s+(\d+)", status)[0])

    @property
    def errors(self) -> list[str]:
        """Log lines that report internal errors."""
        said = self._log.read_text(encoding="utf-8", errors="replace")
        return re.findall(r".*(?:\[error|\[critical|Traceback|not handled).*", said)

    @property
    def said(self) -> str:
        return self._log.read_text(encoding="utf-8", errors="replace")

    def _wait_until_ready(self) -> None:
        for _ in range(200):
            if not self.alive:
                break
            if re.search(r"info +ready ", self.said):
                return
            time.sleep(0.1)
        raise SystemExit(f"screendoor did not start:\n{self.said}")


@dataclass
class Figures:
    """The results of a run."""

    sent: int = 0
    over_tcp: int = 0
    answers: Counter[str] = field(default_factory=Counter)
    options: int = 0
    slowest_ms: float = 0.0
    seconds: float = 0.0
    resident_kib: list[tuple[float, int]] = field(default_factory=list)
    """Resident memory over time; times are seconds of the run."""
    faults: list[str] = field(default_factory=list)

    def growth(self) -> tuple[int, int] | None:
        """Peak resident memory right after the warm-up, and at the end; None if the run was too short."""
        warm = [kib for at, kib in self.resident_kib if WARM_S <= at < WARM_S + 10]
        last = [kib for at, kib in self.resident_kib if at >= max(self.seconds - 10, WARM_S + 10)]
        return (max(warm), max(last)) if warm and last else None

    def lines(self) -> Iterator[str]:
        told = ", ".join(f"{status}: {count}" for status, count in sorted(self.answers.items()))
        first, end = self.resident_kib[0][1] / 1024, self.resident_kib[-1][1] / 1024
        flat = "too short a run to judge it"
        if growth := self.growth():
            warm, last = growth
            flat = f"{last / warm:.3f} of the {warm / 1024:.1f} MiB after {WARM_S:.0f} s"
        yield f"malformed INVITEs  {self.sent} ({self.over_tcp} of them over TCP) in {self.seconds:.1f} s"
        yield f"answers heard      {told or 'none'}"
        yield f"OPTIONS answered   {self.options}, the slowest after {self.slowest_ms:.1f} ms"
        yield f"resident memory    first {first:.1f} MiB, last {end:.1f} MiB: {flat}"
        yield f"faults             {'; '.join(self.faults) or 'none'}"


class Fuzzer:
    """The attacker: one UDP socket, and a new TCP connection for each message sent that way."""

    def __init__(self, server: Server, seed: int, rate: float) -> None:
        self._server, self._dice, self._rate = server, random.Random(seed), rate
        self._to = (HOST, server.sip)
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 * 1024 * 1024)
        self._socket.bind((HOST, 0))
        self.figures = Figures()

    def run(self, count: int) -> Figures:
        figures, began = self.figures, time.monotonic()
        self._probe()
        figures.resident_kib.append((0.0, self._server.resident_kib))
        while figures.sent < count and not figures.faults:
            for _ in range(min(BATCH, count - figures.sent)):
                self._send(damaged(figures.sent, self._dice))
            self._probe()
            if self._server.alive:
                figures.resident_kib.append((time.monotonic() - began, self._server.resident_kib))
            self._listen(began + figures.sent / self._rate)
        figures.seconds = time.monotonic() - began
        self._judge()
        self._socket.close()
        return figures

    def _send(self, data: bytes) -> None:
        self.figures.sent += 1
        if self._dice.random() < 0.01:
            self.figures.over_tcp += 1
            try:
                with socket.create_connection(self._to, ANSWER_S) as connection:
                    connection.sendall(data)
            except OSError as error:
                if not self._server.alive:
                    self.figures.faults.append(f"no TCP connection: {error}")
            return
        self._socket.sendto(data[:65000], self._to)

    def _probe(self) -> None:
        """An OPTIONS must be answered with 200, whatever came before it."""
        name = f"probe-{self.figures.options}"
        text = OPTIONS.format(host=HOST, port=self._server.sip, n=self.figures.options)
        sent = time.monotonic()
        self._socket.sendto(text.replace("\n", "\r\n").encode(), self._to)
        if self._listen(sent + ANSWER_S, name):
            self.figures.options += 1
            self.figures.slowest_ms = max(self.figures.slowest_ms, (time.monotonic() - sent) * 1000)
            return
        state = "silent" if self._server.alive else "dead"
        self.figures.faults.append(f"OPTIONS not answered after {self.figures.sent} messages: {state}")

    def _listen(self, until: float, name: str | None = None) -> bool:
        """Count and acknowledge responses until then, or until the 200 with this Call-ID (returns True)."""
        while (left := until - time.monotonic()) > 0:
            self._socket.settimeout(left)
            try:
                data = self._socket.recv(65535)
            except TimeoutError:
                break
            if name is not None and data.startswith(b"SIP/2.0 200 ") and name.encode() + b"\r\n" in data:
                return True
            self.figures.answers[data[8:11].decode("ascii", "replace")] += 1
            self._follow(data)
        return False

    def _follow(self, response: bytes) -> None:
        """Send ACK for a failure or CANCEL for a ringing call, with the headers of the response."""
        method = b"CANCEL" if response.startswith(b"SIP/2.0 180") else b"ACK"
        if not (b" INVITE\r\n" in response and (method == b"CANCEL" or response[8:9] in b"3456")):
            return
        lines = response.partition(b"\r\n\r\n")[0].split(b"\r\n")[1:]
        vias = [line for line in lines if line.startswith(b"Via: ")][:1]
        kept = [line for line in lines if line.partition(b": ")[0] in (b"From", b"To", b"Call-ID", b"CSeq")]
        text = b"\r\n".join(
            [method + b" sip:x SIP/2.0", *vias, b"Max-Forwards: 70", *kept, b"Content-Length: 0"]
        )
        text = text.replace(b" INVITE\r\n", b" " + method + b"\r\n")
        if method == b"CANCEL":
            text = re.sub(rb"(\r\nTo: [^\r]*);tag=[^;\r]*", rb"\1", text)
        self._socket.sendto(text + b"\r\n\r\n", self._to)

    def _judge(self) -> None:
        figures = self.figures
        if not self._server.alive:
            figures.faults.append("the server has ended")
            return
        if errors := self._server.errors:
            figures.faults.append(f"{len(errors)} errors logged, the first: {errors[0]}")
        growth = figures.growth()
        if growth is not None and growth[1] > growth[0] * MAX_GROWTH:
            figures.faults.append(f"memory grew from {growth[0]} KiB to {growth[1]} KiB")


def phone() -> int:
    """Start a phone that rings until cancelled; returns its port."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    listener.bind((HOST, 0))

    def answer() -> None:
        while True:
            request, source = listener.recvfrom(65535)
            lines = request.partition(b"\r\n\r\n")[0].split(b"\r\n")
            names = (b"Via", b"From", b"To", b"Call-ID", b"CSeq")
            kept = [line for line in lines if line.partition(b": ")[0] in names]
            text = b"\r\n".join([*kept, b"Content-Length: 0", b"", b""])
            text = re.sub(rb"(\r\nTo: [^;\r]*)\r", rb"\1;tag=phone\r", b"\r\n" + text)
            if request.startswith(b"INVITE"):
                listener.sendto(b"SIP/2.0 180 Ringing" + text, source)
            elif request.startswith(b"CANCEL"):
                listener.sendto(b"SIP/2.0 200 OK" + text, source)
                text = text.replace(b" CANCEL\r\n", b" INVITE\r\n")
                listener.sendto(b"SIP/2.0 487 Request Terminated" + text, source)

    Thread(target=answer, daemon=True).start()
    return int(listener.getsockname()[1])


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=int, default=100_000, help="how many malformed INVITEs")
    parser.add_argument("--seed", type=int, default=4475, help="the same seed makes the same messages")
    parser.add_argument("--rate", type=float, default=1000.0, help="malformed INVITEs a second, at most")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, Server(Path(folder), phone()) as server:
        figures = Fuzzer(server, options.seed, options.rate).run(options.count)
        print("\n".join(figures.lines()))
        if figures.faults:
            print(server.said[-4000:], file=sys.stderr)
    return 1 if figures.faults else 0


if __name__ == "__main__":
    sys.exit(main())
