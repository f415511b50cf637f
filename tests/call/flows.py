"""Stub flows for the admission tests: an address and a transport, with no connection behind them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any


def stub_flow(host: str, transport: str = "udp") -> Any:
    return SimpleNamespace(remote=(host, 5060), transport=transport, reliable=transport != "udp")
