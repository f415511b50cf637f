"""A program run by the kernel once, on no interface."""

from __future__ import annotations

import ctypes
import struct

from proxy.media.kernel import bpf

_PROG_TEST_RUN = 10


def run_once(program: int, frame: bytes) -> tuple[int, bytes]:
    """Have the program judge a frame that never was on a wire, as coming in through the first interface.

    Returns its verdict, and the frame as it left it.
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
