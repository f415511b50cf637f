"""A complete valid settings file and the certificates it refers to."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from proxy.config import Settings, SettingsError, parse
from proxy.transport.devcert import write_certificates

GOOD = """
[public]
host = "sbc.example.com"
address = "203.0.113.10"

[[listen]]
transport = "udp"
bind = "0.0.0.0:5060"

[[listen]]
transport = "tls"
bind = "0.0.0.0:5061"
certificate = "certs/fullchain.pem"
key = "file:certs/privkey.pem"

[[trunk]]
name = "signalwire"
from = ["sip.signalwire.com", "198.51.100.0/24", "192.0.2.7"]
outbound = "sip:example-domain.signalwire.com;transport=tls"
username = "screendoor"
password = "env:SIGNALWIRE_PASSWORD"
caller_id = "+14155550100"

[[agent]]
name = "openai"
sip = "sip:proj_XXXX@sip.api.openai.com:5061;transport=tls"
srtp = "off"
api_key = "env:OPENAI_API_KEY"
webhook_secret = "file:webhook.secret"

[[number]]
dialed = "+14155551234"
destinations = ["sip:+14155559876@trunk:signalwire"]
"""

ENVIRON = {"SIGNALWIRE_PASSWORD": "trunk-secret", "OPENAI_API_KEY": "sk-very-secret"}


@pytest.fixture(scope="session")
def settings_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files that the valid settings refer to."""
    folder = tmp_path_factory.mktemp("settings")
    write_certificates(folder / "certs", ["sbc.example.com"])
    write_certificates(folder / "other", ["*.example.com", "203.0.113.10"])
    (folder / "webhook.secret").write_text("whsec_hush\n")
    (folder / "empty.secret").write_text("\n")
    (folder / "instructions.md").write_text("Be brief.\n")
    (folder / "latin.txt").write_bytes(b"\xff\xfe")
    return folder


@pytest.fixture
def parse_settings(settings_folder: Path) -> Callable[[str], Settings]:
    """Parse settings text as if the file were in the ``settings_folder`` folder."""

    def found(elsewhere: str) -> str:
        return "2001:db8::99" if ":" in elsewhere else "192.0.2.99"

    return lambda text: parse(text, ENVIRON, file="sd.toml", folder=settings_folder, find_address=found)


@pytest.fixture
def faults(parse_settings: Callable[[str], Settings]) -> Callable[[str], list[str]]:
    """List the problem lines for invalid settings text, without the file name prefix."""

    def listed(text: str) -> list[str]:
        with pytest.raises(SettingsError) as caught:
            parse_settings(text)
        lines = str(caught.value).splitlines()
        assert all(line.startswith("sd.toml: ") for line in lines)
        return [line.removeprefix("sd.toml: ") for line in lines]

    return listed
