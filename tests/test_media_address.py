"""The media address of `address = "auto"` follows changes of the host's address."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from proxy import assembly, media_address
from proxy.app import App
from proxy.config import Settings, parse
from proxy.media.interface import MediaSession
from tests.kit import messages

TEXT = """
records = ""
memory = { url = "off" }
public = { host = "sbc.example.com", address = "ADDRESS" }
listen = [ { transport = "udp", bind = "127.0.0.1:0" } ]
media = { ports = "20000-20099" }
http = { bind = "127.0.0.1:0" }
trunk = [ { name = "lab", from = ["127.0.0.1"] } ]
agent = [ { name = "local", provider = "sip", sip = "sip:agent@127.0.0.1:9", srtp = "off" } ]
number = [ { dialed = "*", destinations = ["sip:phone@127.0.0.1:9"] } ]
"""


class Line:
    """A dial-up line: its address changes from time to time, with none in between."""

    def __init__(self) -> None:
        self.address: str | None = "192.0.2.99"

    def __call__(self, outwards: str) -> str | None:
        return self.address


def settings(address: str, find: Callable[[str], str | None]) -> Settings:
    return parse(TEXT.replace("ADDRESS", address), {}, file="t.toml", folder=Path(), find_address=find)


@pytest.mark.virtual
async def test_an_auto_address_follows_changes_of_the_local_address() -> None:
    line, told = Line(), list[str]()
    following = asyncio.ensure_future(media_address.follow(settings("auto", line), told.append, line))
    with capture_logs() as log:
        await asyncio.sleep(60)
        line.address = None
        await asyncio.sleep(60)
        line.address = "192.0.2.100"
        await asyncio.sleep(60)
        line.address = "192.0.2.99"
        await asyncio.sleep(60)
    assert told == ["192.0.2.100", "192.0.2.99"]
    assert [(line["was"], line["now"]) for line in log] == [
        ("192.0.2.99", "192.0.2.100"), ("192.0.2.100", "192.0.2.99"),
    ]  # fmt: skip
    following.cancel()


@pytest.mark.virtual
async def test_a_configured_address_is_not_followed() -> None:
    line = Line()
    async with asyncio.timeout(1):
        await media_address.follow(settings("203.0.113.10", line), pytest.fail, line)


@pytest.mark.network
@pytest.mark.parametrize("mode", ["relay", "direct"])
async def test_new_calls_offer_the_changed_address(mode: str) -> None:
    told = settings("auto", Line())
    told = told.model_copy(update={"media": told.media.model_copy(update={"mode": mode})})
    async with App(told) as app:
        number = assembly.routing(told).find(messages.invite())

        assert number is not None

        def offered(call: MediaSession) -> bytes:
            call.use_ip_version("caller", 4)
            return call.offer("caller")

        going_on = app._media(number)
        assert b"c=IN IP4 192.0.2.99\r\n" in offered(going_on)
        app._public_address_changed("192.0.2.100")
        assert b"c=IN IP4 192.0.2.100\r\n" in offered(app._media(number))
        going_on.close()
