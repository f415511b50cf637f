"""The bpf() system call through ctypes: array maps, programs, links to interfaces. Linux only.

Constants are from <linux/bpf.h>; `man 2 bpf` describes the commands.
"""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import platform
import struct

_SYSCALL = {"x86_64": 321, "aarch64": 280, "riscv64": 280, "ppc64le": 361, "s390x": 351}
"""Number of the bpf() system call by architecture (<asm/unistd.h>)."""

# enum bpf_cmd
_MAP_CREATE = 0
_PROG_LOAD = 5
_LINK_CREATE = 28

_MAP_TYPE_ARRAY = 2  # enum bpf_map_type
_F_MMAPABLE = 1 << 10  # flags of BPF_MAP_CREATE
_PROG_TYPE_SCHED_CLS = 3  # enum bpf_prog_type
_TCX_INGRESS = 46  # enum bpf_attach_type, since Linux 6.6

_LOG_BYTES = 256 * 1024
"""Size of the log buffer for the verifier's reasons to reject a program."""

_ONLY_WITH = "it takes Linux 6.6 or later and the capabilities CAP_BPF and CAP_NET_ADMIN"


class KernelRefused(Exception):
    """This system or user cannot forward in the kernel; the message says why, for people."""


class NoInterface(KernelRefused):
    """The interface does not exist, or no longer."""


def create_array(name: str, value_bytes: int, entries: int) -> int:
    """Create an array map with zeroed values, suitable for `map_memory`. Returns its descriptor."""
    attr = struct.pack(
        "=IIIIIII16s", _MAP_TYPE_ARRAY, 4, value_bytes, entries, _F_MMAPABLE, 0, 0, name.encode()
    )
    return _bpf(_MAP_CREATE, attr, "a table in the kernel")


def map_memory(descriptor: int, value_bytes: int, entries: int) -> mmap.mmap:
    """The values of an array map as memory shared with the kernel; `value_bytes` must be a multiple of 8."""
    size = -(-value_bytes * entries // mmap.PAGESIZE) * mmap.PAGESIZE
    return mmap.mmap(descriptor, size, mmap.MAP_SHARED)


def load(name: str, instructions: bytes) -> int:
    """Load a program for packets that arrive at an interface. Returns its descriptor."""
    code = ctypes.create_string_buffer(instructions, len(instructions))
    verifier_log = ctypes.create_string_buffer(_LOG_BYTES)
    licence = ctypes.create_string_buffer(b"MIT")

    def attributes(log: int) -> bytes:
        where = (ctypes.addressof(code), ctypes.addressof(licence))
        wanted = (log, _LOG_BYTES if log else 0, ctypes.addressof(verifier_log) if log else 0)
        counted = (_PROG_TYPE_SCHED_CLS, len(instructions) // 8)
        return struct.pack("=IIQQIIQII16sII", *counted, *where, *wanted, 0, 0, name.encode(), 0, _TCX_INGRESS)

    try:
        return _bpf(_PROG_LOAD, attributes(0), "a program in the kernel")
    except KernelRefused as refused:
        if not isinstance(refused.__cause__, OSError) or refused.__cause__.errno == errno.EPERM:
            raise
        try:  # again, with a log to learn why
            return _bpf(_PROG_LOAD, attributes(1), "a program in the kernel")
        except KernelRefused as again:
            again.add_note(verifier_log.value.decode("utf-8", "replace"))
            raise


def attach(program: int, interface: int) -> int:
    """Attach the program to incoming packets of an interface. Returns a descriptor; closing it detaches, as
    the kernel does when the process ends for any reason. Raises NoInterface.
    """
    attr = struct.pack("=IIIIIIQ", program, interface, _TCX_INGRESS, 0, 0, 0, 0)
    try:
        return _bpf(_LINK_CREATE, attr, f"a program on interface {interface}")
    except KernelRefused as refused:
        if isinstance(refused.__cause__, OSError) and refused.__cause__.errno == errno.ENODEV:
            raise NoInterface(f"there is no interface {interface}") from refused
        raise


def _bpf(command: int, attr: bytes | ctypes.Array[ctypes.c_char], what: str) -> int:
    number = _SYSCALL.get(platform.machine()) if platform.system() == "Linux" else None
    if number is None:
        raise KernelRefused(f"no eBPF on {platform.system()} {platform.machine()}")
    buffer = attr if isinstance(attr, ctypes.Array) else ctypes.create_string_buffer(attr, len(attr))
    libc = ctypes.CDLL(None, use_errno=True)
    result: int = libc.syscall(
        ctypes.c_long(number), ctypes.c_long(command), buffer, ctypes.c_ulong(len(buffer))
    )
    if result < 0:
        error = OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        raise KernelRefused(f"{what} is refused ({error.strerror}): {_ONLY_WITH}") from error
    return result
