"""Edges with each policy of SRTP, and what their logs tell of it."""

from __future__ import annotations

import re

import pytest

from tests.interop.peers import Peers

USUAL = "AES_CM_128_HMAC_SHA1_80"
POLICIES = {"off": ("off", "accept"), "offer": ("offer", "accept"), "require": ("require", "require")}
"""Of the agent and of the trunk."""
EITHER_POLICY = pytest.mark.parametrize("edge", ["offer", "require"], indirect=True, scope="module")


def protected(peers: Peers) -> list[tuple[str, str]]:
    """The legs whose audio is SRTP, with the suite, as the log tells of this test."""
    return re.findall(r"leg=(\S+)\s+audio protected suite=(\S+)", peers.edge.said)
