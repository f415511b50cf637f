"""Drop root's privileges, except for some capabilities, for the rest of a test's own process."""

from __future__ import annotations

import ctypes
import os
import struct

NOBODY = 65534
_PR_SET_KEEPCAPS = 8  # <linux/prctl.h>
_CAPABILITY_VERSION_3 = 0x20080522  # <linux/capability.h>


def become_nobody(but: set[int]) -> None:
    """Become the user nobody, with only these capabilities."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_KEEPCAPS, 1, 0, 0, 0)
    os.setgroups([])
    os.setresgid(NOBODY, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, NOBODY)
    keep_capabilities(but)


def keep_capabilities(but: set[int]) -> None:
    """Keep only these capabilities, whichever user we are."""
    libc = ctypes.CDLL(None, use_errno=True)
    bits = sum(1 << each for each in but)
    low, high = bits & 0xFFFFFFFF, bits >> 32
    header = struct.pack("=II", _CAPABILITY_VERSION_3, 0)
    if libc.capset(header, struct.pack("=6I", low, low, 0, high, high, 0)) != 0:
        raise OSError(ctypes.get_errno(), "capset")
