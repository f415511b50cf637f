"""Settings with two numbers in two countries, which tests extend."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from proxy.config import Settings, parse

TEXT = """
public = { host = "127.0.0.1", address = "127.0.0.1" }
listen = [ { transport = "udp", bind = "127.0.0.1:5060" } ]
trunk = [ { name = "lab", from = ["127.0.0.1"], outbound = "sip:127.0.0.1:9" } ]
agent = [ { name = "local", provider = "sip", sip = "sip:agent@127.0.0.1:9", srtp = "off" } ]
%s
[[number]]
dialed = "+14155551234"
destinations = ["tel:+14155559876"]
%s
[[number]]
dialed = "+493012345678"
destinations = ["tel:+493012345679"]
"""
US, GERMAN = "+14155551234", "+493012345678"
AT = datetime(2026, 11, 22, 23, 0, tzinfo=UTC)


def parse_settings(folder: Path, common: str = "", own: str = "") -> Settings:
    """`common`: more tables. `own`: keys of the first number."""
    return parse(TEXT % (common, own), {}, file="t.toml", folder=folder)
