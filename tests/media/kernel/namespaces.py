"""Network namespaces for a test: an edge, and a caller and a phone linked to it by veth pairs."""

from __future__ import annotations

import asyncio
import ctypes
import fcntl
import os
import shutil
import socket
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self

from proxy.media.rtp import HEADER

CLONE_NEWNET = 0x40000000  # <sched.h>
ETH_P_ALL = 0x0003
_IP = shutil.which("ip", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin") or "ip"
_NFT = shutil.which("nft", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin") or "nft"
_SIOCETHTOOL, _ETHTOOL_STXCSUM = 0x8946, 0x17  # <linux/sockios.h>, <linux/ethtool.h>

EDGE = {"caller": "192.0.2.1", "phone": "198.51.100.1"}
"""The edge's address on the link to each."""
PEERS = {"caller": "192.0.2.2", "phone": "198.51.100.2"}
EDGE6 = {"caller": "2001:db8:1::1", "phone": "2001:db8:2::1"}
PEERS6 = {"caller": "2001:db8:1::2", "phone": "2001:db8:2::2"}


class Namespaces:
    """Three namespaces and two veth pairs, removed at the end of the test."""

    def __init__(self, name: str) -> None:
        self._names = {who: f"{name}{os.getpid()}-{who}" for who in ("edge", "caller", "phone")}

    def __enter__(self) -> Self:
        for name in self._names.values():
            _ip("netns", "add", name)
        for who in ("caller", "phone"):
            edge, far = self._names["edge"], self._names[who]
            _ip("-n", edge, "link", "add", who, "type", "veth", "peer", "name", "edge", "netns", far)
            for inside, name, four, six in (
                (edge, who, EDGE[who], EDGE6[who]),
                (far, "edge", PEERS[who], PEERS6[who]),
            ):
                _ip("-n", inside, "addr", "add", f"{four}/24", "dev", name)
                _ip("-n", inside, "addr", "add", f"{six}/64", "dev", name, "nodad")
                _ip("-n", inside, "link", "set", name, "up")
        _ip("-n", self._names["edge"], "link", "set", "lo", "up")
        return self

    def __exit__(self, *_: object) -> None:
        for name in self._names.values():
            _ip("netns", "del", name)

    @contextmanager
    def inside(self, who: str) -> Iterator[None]:
        """Sockets created in this block, and netlink queries, belong to that namespace."""
        back = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        there = os.open(f"/run/netns/{self._names[who]}", os.O_RDONLY)
        try:
            _enter(there)
            yield
        finally:
            _enter(back)
            os.close(there)
            os.close(back)

    def sum_in_software(self, who: str, interface: str) -> None:
        """Turn off checksum offload, so that packets leave this interface with complete checksums."""
        with self.inside(who), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
            wish = ctypes.create_string_buffer(struct.pack("=II", _ETHTOOL_STXCSUM, 0))
            request = struct.pack("=16sQ16x", interface.encode(), ctypes.addressof(wish))
            fcntl.ioctl(asked, _SIOCETHTOOL, request)

    def command(self, who: str, *words: str) -> list[str]:
        """A command line that runs the command in that namespace."""
        return [_IP, "netns", "exec", self._names[who], *words]

    def ip(self, who: str, *words: str) -> None:
        """Run `ip` in that namespace."""
        _ip("-n", self._names[who], *words)

    def set(self, who: str, name: str, value: str) -> None:
        """Write a sysctl in that namespace."""
        with self.inside(who):
            Path("/proc/sys", *name.split(".")).write_text(value, encoding="ascii")

    def nft(self, who: str, rules: str) -> None:
        """Load `nft` rules in that namespace."""
        _ip("netns", "exec", self._names[who], _NFT, rules)


class SocketPeer:
    """An RTP peer on a real socket, in the current namespace."""

    def __init__(self, host: str, ssrc: int, port: int = 0) -> None:
        self._socket = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((host, port))
        self._socket.setblocking(False)
        self.address: tuple[str, int] = self._socket.getsockname()[:2]
        self.ssrc = ssrc
        self.sequence, self.timestamp = 65000, 4294960000
        self.remote: tuple[str, int] | None = None

    def sdp(self, *lines: str, formats: str = "0 101", port: int | None = None) -> bytes:
        host, own = self.address
        maps = {
            "0": "PCMU/8000",
            "8": "PCMA/8000",
            "101": "telephone-event/8000",
            "96": "telephone-event/8000",
        }
        text = [
            "v=0",
            f"o=far 1 1 IN IP{6 if ':' in host else 4} {host}",
            "s=-",
            f"c=IN IP{6 if ':' in host else 4} {host}",
            "t=0 0",
            f"m=audio {own if port is None else port} RTP/AVP {formats}",
            *(f"a=rtpmap:{pt} {maps[pt]}" for pt in formats.split()),
        ]
        return ("\r\n".join([*text, *lines]) + "\r\n").encode()

    def send_speech(
        self, packets: int = 1, *, pt: int = 0, payload: bytes = bytes(range(160)), first: int = 0x80
    ) -> None:
        """Send that many 20 ms packets at once."""
        assert self.remote is not None
        for _ in range(packets):
            head = HEADER.pack(first, pt, self.sequence & 0xFFFF, self.timestamp & 0xFFFFFFFF, self.ssrc)
            self._socket.sendto(head + payload, self.remote)
            self.sequence += 1
            self.timestamp += 160

    def raw(self, packet: bytes, to: tuple[str, int] | None = None) -> None:
        where = to or self.remote
        assert where is not None
        self._socket.sendto(packet, where)

    def received(self) -> list[Heard]:
        """The packets received so far."""
        heard = []
        with suppress(BlockingIOError):
            while True:
                packet, source = self._socket.recvfrom(2048)
                heard.append(Heard(packet, source[:2]))
        return heard

    async def receive(self, packets: int, limit_s: float = 5.0) -> list[Heard]:
        """Wait for the next packets; TimeoutError if fewer come."""
        loop = asyncio.get_running_loop()
        heard = []
        async with asyncio.timeout(limit_s):
            while len(heard) < packets:
                packet, source = await loop.sock_recvfrom(self._socket, 2048)
                heard.append(Heard(packet, source[:2]))
        return heard

    def close(self) -> None:
        self._socket.close()


class Heard:
    """One packet that a peer received."""

    def __init__(self, packet: bytes, source: tuple[str, int]) -> None:
        _, second, self.sequence, self.timestamp, self.ssrc = HEADER.unpack_from(packet)
        self.marker, self.pt = second >> 7 == 1, second & 0x7F
        self.payload, self.packet = packet[12:], packet
        self.source = source


def frames(interface: str) -> socket.socket:
    """A socket that sees every frame on an interface of the current namespace, as received."""
    seen = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    seen.bind((interface, 0))
    seen.setblocking(False)
    return seen


def checksum(text: bytes) -> int:
    """The Internet checksum (RFC 1071); 0 for data that includes a valid one."""
    text += b"\0" * (len(text) % 2)
    total = sum(struct.unpack(f"!{len(text) // 2}H", text))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF


def _enter(namespace: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(namespace, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


def _ip(*words: str) -> None:
    subprocess.run([_IP, *words], check=True, capture_output=True, timeout=10)
