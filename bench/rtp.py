"""The RTP generator: sends packets of many calls on schedule to a relay, and measures what comes back.

Run as ``python -m bench.rtp``, with the work as JSON on standard input and two inherited sockets. It prints a
line of JSON after the warm-up, one after the measured time, and one with the results.
"""

from __future__ import annotations

import json
import socket
import struct
import sys
import time
from dataclasses import asdict, dataclass, field
from typing import Final

from bench.mmsg import CONTROL, SLOT, TIMESTAMP_MESSAGE, Receiver, Sender

FRAME_NS: Final = 20_000_000
PACKET: Final = struct.Struct("!BBHIIQI")
"""RTP header, then the time of sending and the stream's number as the first octets of the payload."""
STAMP: Final = struct.Struct("!QI")
HEADER_BYTES: Final = 12
PACKET_BYTES: Final = 172
BATCH_WAIT_NS: Final = 100_000
"""How long a packet may wait to be sent together with others: a generator that never sleeps would measure
itself."""
LINGER_S: Final = 0.3
"""How long packets are awaited after the last one was sent."""


@dataclass(frozen=True, slots=True)
class Work:
    """The work of a generator."""

    sockets: tuple[int, int]
    """File descriptors of the sockets for the callers' RTP, and for the callees'."""
    ports: tuple[list[int], list[int]]
    """The port that each caller's packets go to, and each callee's."""
    warm_s: float
    measured_s: float
    encrypted: list[str] | None = None
    """Precomputed SRTP packets of every callee, in hex; latency is unknown then."""
    host: str = "127.0.0.1"


@dataclass(slots=True)
class Heard:
    """The results."""

    sent: int = 0
    received: int = 0
    """Packets received during the measured time."""
    lost: int = 0
    """In total, warm-up included."""
    silent: int = 0
    """Streams of which nothing came back."""
    cpu_s: float = 0.0
    """CPU time of sending and receiving during the measured time."""
    latencies_us: list[float] = field(default_factory=list)


class _Side:
    """The streams sent from one socket, each a packet per 20 ms, evenly spread."""

    def __init__(self, sock: socket.socket, work: Work, side: int, began: int) -> None:
        ports = work.ports[side]
        self._sealed = [bytes.fromhex(each) for each in work.encrypted or ()] if side else []
        size = len(self._sealed[0]) if self._sealed else PACKET_BYTES
        self._sender = Sender(sock, [(work.host, port) for port in ports], size)
        self._count, self._step = len(ports), FRAME_NS // max(len(ports), 1)
        self._number = 100_000 * (side + 1)
        self._next = began + side * self._step // 2
        self._at = 0
        self.sent = 0

    def due(self, now: int) -> int:
        """Send the packets that are due; returns when the next one is."""
        late = (now - self._next) // self._step + 1 if now >= self._next else 0
        while late > 0:
            frame, first = divmod(self._at, self._count)
            some = min(late, self._count - first, 64)
            self._write(frame, first, some)
            taken = self._sender.send(first, some)
            self.sent += taken
            self._at += some
            self._next += some * self._step
            late -= some
        return self._next

    def _write(self, frame: int, first: int, some: int) -> None:
        slots = self._sender.slots
        if self._sealed:
            packet = self._sealed[frame]
            for n in range(first, first + some):
                slots[n * SLOT : n * SLOT + len(packet)] = packet
            return
        sequence, timestamp, pack = (1000 + frame) & 0xFFFF, (160 * frame) & 0xFFFFFFFF, PACKET.pack_into
        for n in range(first, first + some):
            number = self._number + n
            pack(slots, n * SLOT, 0x80, 0, sequence, timestamp, number, time.time_ns(), number)


class Generator:
    """Sends, receives and counts in one thread that sleeps in between; the kernel timestamps arrivals."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._sockets = [socket.socket(fileno=fd) for fd in work.sockets]
        self._receivers = [Receiver(sock) for sock in self._sockets]
        began = time.perf_counter_ns() + 1_000_000
        self._sides = [_Side(sock, work, side, began) for side, sock in enumerate(self._sockets)]
        self._measuring = False
        self._streams: set[int] = set()
        self._received = 0
        self.heard = Heard()

    @property
    def _sent(self) -> int:
        return sum(side.sent for side in self._sides)

    def warm(self) -> None:
        """Run until the relay has settled."""
        self._run(self._work.warm_s)

    def measure(self) -> None:
        """Run for the measured time."""
        sent, spent, self._measuring = self._sent, time.process_time(), True
        self._run(self._work.measured_s)
        self.heard.sent, self._measuring = self._sent - sent, False
        self.heard.cpu_s = time.process_time() - spent

    def finish(self) -> Heard:
        """Wait for the last packets; returns the results."""
        ends = time.perf_counter_ns() + round(LINGER_S * 1e9)
        while time.perf_counter_ns() < ends:
            time.sleep(0.01)
            self._hear()
        self.heard.lost = self._sent - self._received
        everybody = sum(map(len, self._work.ports))
        self.heard.silent = 0 if self._work.encrypted else everybody - len(self._streams)
        return self.heard

    def _run(self, seconds: float) -> None:
        ends = time.perf_counter_ns() + round(seconds * 1e9)
        while (now := time.perf_counter_ns()) < ends:
            due = min([side.due(now) for side in self._sides])
            self._hear()
            wait_ns = max(due, now + BATCH_WAIT_NS) - time.perf_counter_ns()
            if wait_ns > 0:
                time.sleep(wait_ns / 1e9)

    def _hear(self) -> None:
        for receiver in self._receivers:
            while count := receiver.receive():
                self._received += count
                if self._measuring:
                    self.heard.received += count
                if not self._work.encrypted:
                    self._read(receiver, count)

    def _read(self, receiver: Receiver, count: int) -> None:
        slots, unpack = receiver.slots, STAMP.unpack_from
        for n in range(count):
            stamp, number = unpack(slots, n * SLOT + HEADER_BYTES)
            self._streams.add(number)
            if self._measuring:
                _, _, _, seconds, nanoseconds = TIMESTAMP_MESSAGE.unpack_from(receiver.controls, n * CONTROL)
                self.heard.latencies_us.append((seconds * 1_000_000_000 + nanoseconds - stamp) / 1000)


def main() -> None:
    generator = Generator(Work(**json.load(sys.stdin)))
    generator.warm()
    print("{}", flush=True)
    generator.measure()
    print("{}", flush=True)
    print(json.dumps(asdict(generator.finish())), flush=True)


if __name__ == "__main__":
    main()
