"""RTP endpoints for SIPp's peers, with distinguishable audio, so that tests can check who hears whom."""

from __future__ import annotations

import socket
import struct
import time
from types import TracebackType
from typing import Self

from tests.sipp.ports import free_port

HOST = "127.0.0.1"
PACKETS = 25
PACKET_S = 0.02
SAMPLES = 160


class RtpEndpoint:
    """One peer's RTP endpoint: it sends PCMU in which every sample is one byte, unique to the peer."""

    def __init__(self, sound: bytes) -> None:
        self.port, self._payload = free_port(), sound * SAMPLES
        self._sequence = 0
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._socket.bind((HOST, self.port))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    def send(self, port: int) -> None:
        """Send one 20 ms packet to this port of the edge."""
        self._sequence += 1
        head = struct.pack("!BBHII", 0x80, 0, self._sequence, self._sequence * SAMPLES, self.port)
        self._socket.sendto(head + self._payload, (HOST, port))

    def received_from(self, other: RtpEndpoint) -> int:
        """How many packets of the other peer's audio have arrived since the last call."""
        count = 0
        while True:
            try:
                packet = self._socket.recv(2048)
            except BlockingIOError:
                return count
            count += packet[12:] == other._payload


def exchange_audio(one: RtpEndpoint, one_port: int, other: RtpEndpoint, other_port: int) -> tuple[int, int]:
    """Both send half a second of audio, each to its port of the edge; returns how many packets each heard."""
    for _ in range(PACKETS):
        one.send(one_port)
        other.send(other_port)
        time.sleep(PACKET_S)
    time.sleep(2 * PACKET_S)
    return one.received_from(other), other.received_from(one)
