"""Skips tests of kernel mode unless run as root on Linux 6.6 or later; `.ci/run` accepts no skipped test."""

from __future__ import annotations

import os
import platform
import re

import pytest


def _release() -> tuple[int, ...]:
    """Major and minor version of the running kernel."""
    return tuple(int(part) for part in re.findall(r"\d+", platform.release())[:2])


ABLE = platform.system() == "Linux" and os.geteuid() == 0 and _release() >= (6, 6)
needs_kernel = pytest.mark.skipif(not ABLE, reason="programs are loaded into the kernel: root, and Linux 6.6")
