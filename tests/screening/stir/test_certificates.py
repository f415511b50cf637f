"""Fetching certificates from URLs in strangers' tokens: which, how much, for how long, and from where."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from ipaddress import ip_address

import httpx2
import pytest

from proxy.transport.devcert import make_authority
from screening.stir.certificates import FETCH_LIMIT_S, MAX_BYTES, MAX_FETCHES, CertificateCache, is_public
from screening.stir.passport import PassportRefused
from tests.screening.pki import NOW, X5U, StiPki

HERE = StiPki()
PEM = HERE.carrier.pem
INTERNET = ["203.0.114.7"]


async def pieces(body: bytes) -> AsyncIterator[bytes]:
    for place in range(0, len(body), 1000):
        yield body[place : place + 1000]


class Server:
    """A certificate server: answers every request alike, and records them."""

    def __init__(self, answer: httpx2.Response | Exception | None = None, takes_s: float = 0.0) -> None:
        self.answer, self.takes_s = answer, takes_s
        self.requests: list[httpx2.Request] = []
        self.addresses: Sequence[str] = INTERNET
        self.now = NOW

    async def __call__(self, request: httpx2.Request) -> httpx2.Response:
        self.requests.append(request)
        await asyncio.sleep(self.takes_s)
        if isinstance(self.answer, Exception):
            raise self.answer
        answer = self.answer or httpx2.Response(200, content=PEM)
        if answer.is_stream_consumed:  # otherwise already a stream
            said = {name: answer.headers.get(name, "") for name in ("Cache-Control", "Location")}
            return httpx2.Response(answer.status_code, headers=said, content=pieces(answer.content))
        return answer

    async def resolve(self, host: str, port: int) -> Sequence[str]:
        return self.addresses

    def certificates(self) -> CertificateCache:
        return CertificateCache(
            HERE.roots,
            lambda: self.now,
            resolve=self.resolve,
            http=lambda: httpx2.AsyncClient(transport=httpx2.MockTransport(self)),
        )


async def refusal(certificates: CertificateCache, url: str = X5U) -> str:
    with pytest.raises(PassportRefused) as caught:
        await certificates.fetch(url)
        certificates.cached(url)
    return str(caught.value)


async def test_a_certificate_is_fetched_once_and_kept() -> None:
    server = Server()
    async with server.certificates() as certificates:
        assert certificates.cached(X5U) is None
        await certificates.fetch(X5U)
        assert certificates.cached(X5U) is not None
        server.now += timedelta(minutes=59)
        assert certificates.cached(X5U) is not None
        server.now += timedelta(minutes=2)
        assert certificates.cached(X5U) is None
    [request] = server.requests
    assert (request.url, request.headers["Host"]) == ("https://203.0.114.7:443/ann.pem", "cert.example.org")
    assert request.extensions["sni_hostname"] == "cert.example.org"
    assert request.headers["Accept-Encoding"] == "identity"


@pytest.mark.parametrize(
    ("control", "minutes"),
    [("max-age=1800", 30), ("public, max-age=0", 5), ("max-age=999999999", 24 * 60), ("no-store", 60)],
)
async def test_a_certificate_is_cached_for_max_age_within_bounds(control: str, minutes: int) -> None:
    server = Server(httpx2.Response(200, content=PEM, headers={"Cache-Control": control}))
    async with server.certificates() as certificates:
        await certificates.fetch(X5U)
        server.now += timedelta(minutes=minutes, seconds=-1)
        assert certificates.cached(X5U) is not None
        server.now += timedelta(seconds=2)
        assert certificates.cached(X5U) is None


@pytest.mark.parametrize(
    "url",
    [
        "http://cert.example.org/ann.pem",
        "ftp://cert.example.org/ann.pem",
        "file:///etc/passwd",
        "https://cert.example.org:22/ann.pem",
        "https://cert.example.org:99999/ann.pem",
        "https://user:pass@cert.example.org/ann.pem",
        "https://cert.example.org/ann.pem?token=1",
        "https://cert.example.org/ann.pem#here",
        "https://127.0.0.1/ann.pem",
        "https://[::1]/ann.pem",
        "https://2130706433/ann.pem",
        "https://0x7f.1/ann.pem",
        "https://localhost/ann.pem",
        "https://cert.example.org\\@169.254.169.254/",
        "https://cert.exa mple.org/ann.pem",
        "https://cert.example.org/a\r\nHost: x",
        "https://cért.example.org/ann.pem",
        "https://cert.example.org/" + "a" * 600,
        "https:///ann.pem",
        "//cert.example.org/ann.pem",
        "",
    ],
)
async def test_urls_that_are_not_plain_public_https_are_not_fetched(url: str) -> None:
    server = Server()
    async with server.certificates() as certificates:
        with pytest.raises(PassportRefused) as caught:
            certificates.fetch(url)
        assert caught.value.result == "failed"
    assert server.requests == []


PRIVATE = [
    "127.0.0.1", "10.0.0.1", "192.168.1.1", "172.16.0.1", "169.254.169.254", "100.64.0.1", "0.0.0.0",
    "224.0.0.1", "255.255.255.255", "240.0.0.1", "::1", "::", "fe80::1", "fc00::1", "ff02::1",
    "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "2002:7f00:1::",
    "2001:0:7f00:1::", "fe80::1%eth0",
]  # fmt: skip


@pytest.mark.parametrize("address", PRIVATE)
async def test_a_host_that_resolves_to_a_private_address_is_not_fetched(address: str) -> None:
    server = Server()
    server.addresses = [*INTERNET, address]
    async with server.certificates() as certificates:
        assert await refusal(certificates) == "the certificate's server has no public address"
    assert server.requests == []


def test_global_addresses_are_public() -> None:
    assert all(is_public(ip_address(each)) for each in ("203.0.114.7", "1.1.1.1", "2606:4700::1111"))


@pytest.mark.parametrize("to", ["https://169.254.169.254/latest", "http://localhost/", "/other.pem"])
async def test_redirects_are_not_followed(to: str) -> None:
    server = Server(httpx2.Response(302, headers={"Location": to}))
    async with server.certificates() as certificates:
        assert await refusal(certificates) == "the certificate's server answered 302"
    assert len(server.requests) == 1


async def test_an_ipv6_address_is_connected_to_in_brackets() -> None:
    server = Server()
    server.addresses = ["2606:4700::1111"]
    async with server.certificates() as certificates:
        await certificates.fetch("https://cert.example.org:8443/a")
    assert str(server.requests[0].url) == "https://[2606:4700::1111]:8443/a"
    assert server.requests[0].headers["Host"] == "cert.example.org:8443"


async def endless() -> AsyncIterator[bytes]:
    while True:
        yield b"x" * 1000


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (lambda: httpx2.Response(302, headers={"Location": "http://169.254.169.254/"}), "answered 302"),
        (lambda: httpx2.Response(404), "answered 404"),
        (lambda: httpx2.Response(200, content=b"x" * (MAX_BYTES + 1)), "too large"),
        (lambda: httpx2.Response(200, content=endless()), "too large"),
        (
            lambda: httpx2.Response(200, content=endless(), headers={"Content-Encoding": "gzip"}),
            "sent it compressed",
        ),
        (lambda: httpx2.Response(200, content=b"<html>"), "cannot be read"),
        (lambda: httpx2.Response(200, content=StiPki().carrier.pem), "chain is not trusted"),
        (lambda: httpx2.ConnectError("refused"), "not reached"),
        (lambda: httpx2.RemoteProtocolError("junk"), "not reached"),
        (lambda: RuntimeError("a bug of ours"), "cannot be read"),
    ],
)
async def test_a_failed_fetch_is_refused_with_its_reason_and_not_retried_for_a_minute(
    answer: Callable[[], httpx2.Response | Exception], why: str
) -> None:
    server = Server(answer())
    async with server.certificates() as certificates:
        assert why in await refusal(certificates)
        with pytest.raises(PassportRefused, match=why):
            certificates.cached(X5U)
        server.now += timedelta(seconds=61)
        assert certificates.cached(X5U) is None
    assert len(server.requests) == 1


@pytest.mark.parametrize("ahead", [timedelta(hours=2), timedelta(days=9000)])
async def test_after_a_clock_correction_certificates_are_fetched_again(
    ahead: timedelta,
) -> None:
    server = Server()
    server.now += ahead
    async with server.certificates() as certificates:
        if ahead.days:
            assert "not trusted" in await refusal(certificates)
        else:
            await certificates.fetch(X5U)
        server.now = NOW
        assert certificates.cached(X5U) is None
        await certificates.fetch(X5U)
        assert certificates.cached(X5U) is not None


async def test_a_certificate_server_that_does_not_answer_times_out() -> None:
    server = Server(takes_s=3600)
    began = asyncio.get_running_loop().time()
    async with server.certificates() as certificates:
        assert "did not answer in time" in await refusal(certificates)
    assert asyncio.get_running_loop().time() - began == pytest.approx(FETCH_LIMIT_S)


async def test_an_unknown_host_name_is_refused_with_the_reason() -> None:
    server = Server()
    server.addresses = []
    async with server.certificates() as certificates:
        assert "is not known" in await refusal(certificates)


async def test_concurrent_fetches_are_limited_and_shared_per_url() -> None:
    server = Server(takes_s=1.0)
    async with server.certificates() as certificates:
        tasks = [certificates.fetch(f"https://cert.example.org/{n}") for n in range(MAX_FETCHES)]
        assert certificates.fetch("https://cert.example.org/0") is tasks[0]
        with pytest.raises(PassportRefused, match="too many") as caught:
            certificates.fetch("https://cert.example.org/more")
        assert caught.value.result == "unknown"
        await asyncio.wait(tasks)
        await certificates.fetch("https://cert.example.org/more")
    assert len(server.requests) == MAX_FETCHES + 1


async def test_closing_cancels_running_fetches() -> None:
    server = Server(takes_s=3600)
    async with server.certificates() as certificates:
        task = certificates.fetch(X5U)
        await asyncio.sleep(1)
    assert task.cancelled()


@asynccontextmanager
async def https(names: Sequence[str], body: bytes) -> AsyncIterator[tuple[int, ssl.SSLContext]]:
    """A real server on this machine: its port, and a client context that trusts it."""
    authority = make_authority()
    certificate, key = authority.issue(names)
    theirs, ours = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    ours.load_verify_locations(cadata=authority.cert_pem.decode())
    _load(theirs, certificate, key)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=theirs)
    async with server:
        yield server.sockets[0].getsockname()[1], ours


def _load(context: ssl.SSLContext, certificate: bytes, key: bytes) -> None:
    from tempfile import NamedTemporaryFile

    with NamedTemporaryFile() as file:
        file.write(certificate + key)
        file.flush()
        context.load_cert_chain(file.name)


@pytest.mark.network
@pytest.mark.parametrize(("name", "held"), [("cert.example.org", True), ("other.example.org", False)])
async def test_the_https_server_certificate_must_match_the_host(name: str, held: bool) -> None:
    async with https([name], PEM) as (port, trust):

        async def resolve(host: str, port: int) -> Sequence[str]:
            return ["127.0.0.1"]

        def now() -> datetime:
            return NOW

        certificates = CertificateCache(
            HERE.roots,
            now,
            resolve=resolve,
            ports={port},
            permitted=lambda address: True,
            http=lambda: httpx2.AsyncClient(verify=trust, trust_env=False),
        )
        url = f"https://cert.example.org:{port}/ann.pem"
        async with certificates, asyncio.timeout(20):
            await certificates.fetch(url)
            if held:
                assert certificates.cached(url) is not None
            else:
                with pytest.raises(PassportRefused, match="not reached"):
                    certificates.cached(url)
