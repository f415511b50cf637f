"""Run an eBPF program once, without an interface (BPF_PROG_TEST_RUN)."""

from __future__ import annotations

import ctypes
import struct

from proxy.media.kernel import bpf

_PROG_TEST_RUN = 10


def run_once(program: int, frame: bytes) -> tuple[int, bytes]:
    """Run the program on a frame, as if it came in through the first interface.

    Returns its verdict, and the frame as it was left.
    """
    into = ctypes.create_string_buffer(frame, len(frame))
    out = ctypes.create_string_buffer(len(frame) + 256)
    context = ctypes.create_string_buffer(struct.pack("=40xI148x", 1), 192)  # struct __sk_buff
    attr = struct.pack(
        "=IIIIQQIIIIQQ",
        *(program, 0, len(frame), len(out)),
        *(ctypes.addressof(into), ctypes.addressof(out)),
        *(1, 0, len(context), 0),
        *(ctypes.addressof(context), 0),
    )
    buffer = ctypes.create_string_buffer(attr, len(attr))
    bpf._bpf(_PROG_TEST_RUN, buffer, "a trial of a program")
    _, verdict, _, size = struct.unpack_from("=IIII", buffer)
    return verdict, out.raw[:size]
