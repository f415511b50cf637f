"""Many UDP datagrams per system call (sendmmsg(2), recvmmsg(2)), for a cheap generator."""

from __future__ import annotations

import ctypes
import os
import socket
import struct
from collections.abc import Sequence
from typing import Final

from tests.sipp.ports import free_port

SLOT: Final = 256
"""Octets reserved for each datagram: enough for 20 ms of G.711, encrypted or not."""
MAX_DATAGRAMS: Final = 64
"""Datagrams received per call."""
CONTROL: Final = 64
"""Octets reserved for each datagram's control message: its arrival in nanoseconds of the wall clock."""
TIMESTAMP_MESSAGE: Final = struct.Struct("=QIIqq")
"""Size, level and type of that message; seconds and nanoseconds."""
_SO_TIMESTAMPNS: Final = 35
_SO_SNDBUFFORCE: Final = 32
_SO_RCVBUFFORCE: Final = 33

_libc = ctypes.CDLL(None, use_errno=True)


class _IoVec(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("size", ctypes.c_size_t))


class _MmsgHdr(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_void_p),
        ("name_size", ctypes.c_uint32),
        ("pieces", ctypes.POINTER(_IoVec)),
        ("piece_count", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("control_size", ctypes.c_size_t),
        ("flags", ctypes.c_long),  # an int, and padding to 8 octets
        ("size", ctypes.c_uint32),
    )


class Sender:
    """A socket and an array of datagrams, each with its own target; `slots[n * SLOT:]` is the n-th."""

    def __init__(self, sock: socket.socket, targets: Sequence[tuple[str, int]], size: int) -> None:
        """All datagrams have `size` octets."""
        self._fd, count = sock.fileno(), len(targets)
        self.slots = bytearray(count * SLOT)
        base = ctypes.addressof(ctypes.c_char.from_buffer(self.slots))
        self._names = ctypes.create_string_buffer(b"".join(map(_address, targets)))
        names = ctypes.addressof(self._names)
        self._pieces = (_IoVec * count)(*(_IoVec(base + n * SLOT, size) for n in range(count)))
        self._messages = (_MmsgHdr * count)()
        for n, message in enumerate(self._messages):
            message.name, message.name_size = names + n * 16, 16
            message.pieces, message.piece_count = ctypes.pointer(self._pieces[n]), 1
        self._first = ctypes.addressof(self._messages)

    def send(self, first: int, count: int) -> int:
        """Send that many, starting with number `first`; returns how many the kernel accepted."""
        at = ctypes.c_void_p(self._first + first * ctypes.sizeof(_MmsgHdr))
        sent: int = _libc.sendmmsg(self._fd, at, count, 0)
        return max(sent, 0)


class Receiver:
    """A socket read many datagrams at a time, without blocking.

    `slots[n * SLOT:]` is the n-th, and `controls[n * CONTROL:]` its arrival time.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._fd = sock.fileno()
        self.slots = bytearray(MAX_DATAGRAMS * SLOT)
        base = ctypes.addressof(ctypes.c_char.from_buffer(self.slots))
        self._pieces = (_IoVec * MAX_DATAGRAMS)(
            *(_IoVec(base + n * SLOT, SLOT) for n in range(MAX_DATAGRAMS))
        )
        self.controls = bytearray(MAX_DATAGRAMS * CONTROL)
        told = ctypes.addressof(ctypes.c_char.from_buffer(self.controls))
        self._messages = (_MmsgHdr * MAX_DATAGRAMS)()
        for n, message in enumerate(self._messages):
            message.pieces, message.piece_count = ctypes.pointer(self._pieces[n]), 1
            message.control, message.control_size = told + n * CONTROL, CONTROL
        self._fresh = bytes(self._messages)  # to restore them: the kernel overwrites fields

    def receive(self) -> int:
        """Receive at most MAX_DATAGRAMS datagrams; returns their number."""
        come: int = _libc.recvmmsg(self._fd, self._messages, MAX_DATAGRAMS, socket.MSG_DONTWAIT, None)
        if come <= 0:
            return 0
        ctypes.memmove(self._messages, self._fresh, come * ctypes.sizeof(_MmsgHdr))
        return come


def large_buffered_socket(host: str) -> socket.socket:
    """A bound UDP socket with large buffers and kernel timestamps of arrivals."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    room = 8 << 20
    for forced, option in ((_SO_RCVBUFFORCE, socket.SO_RCVBUF), (_SO_SNDBUFFORCE, socket.SO_SNDBUF)):
        try:
            sock.setsockopt(socket.SOL_SOCKET, forced, room)
        except OSError:
            sock.setsockopt(socket.SOL_SOCKET, option, room)
    sock.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
    sock.bind((host, free_port()))  # below the ports of Screendoor's own media
    os.set_inheritable(sock.fileno(), True)
    return sock


def _address(target: tuple[str, int]) -> bytes:
    host, port = target
    return struct.pack("=H", socket.AF_INET) + struct.pack("!H4s8x", port, socket.inet_aton(host))
