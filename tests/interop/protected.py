"""Edges with each SRTP policy, and the SRTP legs according to their logs."""

from __future__ import annotations

import re

import pytest

from tests.interop.peers import Peers

USUAL = "AES_CM_128_HMAC_SHA1_80"
POLICIES = {"off": ("off", "accept"), "offer": ("offer", "accept"), "require": ("require", "require")}
"""The `srtp` settings of the agent and of the trunk, by policy."""
EITHER_POLICY = pytest.mark.parametrize("edge", ["offer", "require"], indirect=True, scope="module")


def protected(peers: Peers) -> list[tuple[str, str]]:
    """The legs whose audio is SRTP and their crypto suites, according to the edge's log."""
    return re.findall(r"leg=(\S+)\s+audio protected suite=(\S+)", peers.edge.printed)
