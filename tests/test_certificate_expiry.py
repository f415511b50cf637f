"""Warnings about expiring certificates: given in time, repeated daily until renewal."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from proxy import certificate_expiry
from proxy.config import Settings, parse
from proxy.transport.devcert import make_authority

NOW = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)
DAY = timedelta(days=1)
SETTINGS = """
public = { host = "sbc.example.com", address = "203.0.113.10" }
listen = [
    { transport = "udp", bind = "0.0.0.0:5060" },
    { transport = "tls", bind = "0.0.0.0:5061", certificate = "sip.pem", key = "file:sip-key.pem" },
]
http = { certificate = "web.pem", key = "file:web-key.pem" }
number = [ { dialed = "*", destinations = ["sip:phone@192.0.2.11"] } ]

[[agent]]
name = "local"
provider = "sip"
sip = "sip:agent@192.0.2.10;transport=tls"
srtp = "off"

[[trunk]]
name = "bandwidth"
from = ["192.0.2.7"]
outbound = "sip:192.0.2.7;transport=tls"
tls = { certificate = "ours.pem", key = "file:ours-key.pem" }

[[trunk]]
name = "telnyx"
from = ["192.0.2.8"]
outbound = "sip:192.0.2.8;transport=tls"
tls = { certificate = "ours.pem", key = "file:ours-key.pem" }

[[trunk]]
name = "twilio"
from = ["192.0.2.9"]
outbound = "sip:192.0.2.9;transport=tls"
tls = { certificate = "sip.pem", key = "file:sip-key.pem" }
"""
FILES = ("sip", "web", "ours")

Issue = Callable[..., None]


@pytest.fixture
def issue(tmp_path: Path) -> Issue:
    """Write a certificate that expires ``left`` after `NOW`, and its key."""
    authority = make_authority()

    def issued(name: str, left: timedelta, *, days: int = 90, key: bool = True) -> None:
        starts = NOW + left - timedelta(days=days)
        chain, private = authority.issue(["sbc.example.com"], starts=starts, days=days)
        (tmp_path / f"{name}.pem").write_bytes(chain)
        if key:
            (tmp_path / f"{name}-key.pem").write_bytes(private)

    for name in FILES:
        issued(name, 60 * DAY)
    return issued


@pytest.fixture
def settings(issue: Issue, tmp_path: Path) -> Settings:
    return parse(SETTINGS, {}, file="sd.toml", folder=tmp_path)


def said(settings: Settings, now: datetime = NOW) -> list[certificate_expiry.Remark]:
    folder = settings.http.certificate.parent if settings.http.certificate else Path()
    return [
        one._replace(text=one.text.replace(f"{folder}/", ""))
        for one in certificate_expiry.remarks(settings, now)
    ]


def test_certificates_with_enough_time_left_give_no_remark(settings: Settings) -> None:
    assert said(settings) == []
    assert said(settings, NOW + 46 * DAY - timedelta(minutes=1)) == []


def test_each_expiring_or_expired_certificate_gives_one_line(settings: Settings) -> None:
    how = "(renewed files are taken without a restart)"
    lines = [
        "sip.pem: the certificate {} " + how,
        "web.pem: the certificate {} " + how,
        "ours.pem: the certificate for bandwidth, telnyx {} " + how,
    ]
    soon = "ends on 2027-01-22: see why it was not renewed"
    assert said(settings, NOW + 46 * DAY + timedelta(minutes=1)) == [
        (one.format(soon), False) for one in lines
    ]
    over = "expired on 2027-01-22: renew it"
    assert said(settings, NOW + 61 * DAY) == [(one.format(over), True) for one in lines]


def test_a_short_lived_certificate_is_reported_with_a_quarter_of_its_life_left(
    settings: Settings, issue: Issue
) -> None:
    issue("web", 2 * DAY, days=6)
    assert said(settings) == []
    [(text, over)] = said(settings, NOW + 0.6 * DAY)
    assert text.startswith("web.pem: the certificate ends on 2026-11-25: ")
    assert not over


def test_an_incomplete_renewal_is_reported(settings: Settings, issue: Issue, tmp_path: Path) -> None:
    for spoil in (
        lambda: issue("ours", 90 * DAY, key=False),  # the previous key stays
        lambda: (tmp_path / "ours-key.pem").unlink(),
        lambda: (tmp_path / "ours.pem").write_text("-----BEGIN"),
    ):
        spoil()
        [(text, over)] = said(settings)
        assert text.startswith(
            "ours.pem: the certificate for bandwidth, telnyx and its key do not load, or not tog"
        )
        assert not over


@pytest.mark.virtual
async def test_certificates_are_checked_at_the_start_and_every_day(settings: Settings, issue: Issue) -> None:
    loop = asyncio.get_running_loop()
    start = loop.time()
    issue("web", 1.5 * DAY)
    with capture_logs() as log:
        watching = asyncio.ensure_future(
            certificate_expiry.watch(settings, lambda: NOW + timedelta(seconds=loop.time() - start))
        )
        await asyncio.sleep(1)
        assert [(line["log_level"], "ends on" in line["event"]) for line in log] == [("warning", True)]
        await asyncio.sleep(86400)
        assert [line["log_level"] for line in log] == ["warning", "warning"]
        await asyncio.sleep(86400)
        assert [line["log_level"] for line in log] == ["warning", "warning", "error"]
        assert "web.pem: the certificate expired on 2026-11-24: renew it" in log[-1]["event"]
        issue("web", 90 * DAY)
        await asyncio.sleep(3 * 86400)
        assert len(log) == 3
        watching.cancel()


def test_expiry_times_are_read_from_the_current_files(
    settings: Settings, issue: Issue, tmp_path: Path
) -> None:
    def ends() -> dict[str, float]:
        return {Path(file).name: end for file, end in certificate_expiry.expiry_times(settings)}

    at = (NOW + 60 * DAY).timestamp()
    assert ends() == {"sip.pem": at, "web.pem": at, "ours.pem": at}
    issue("web", 150 * DAY)
    assert ends()["web.pem"] == (NOW + 150 * DAY).timestamp()
    (tmp_path / "sip.pem").unlink()
    (tmp_path / "ours.pem").write_text("half of")
    assert list(ends()) == ["web.pem"]
