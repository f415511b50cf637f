"""TLS interoperability with the `openssl` program, as server and as client."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from proxy.transport.devcert import SERVER_AUTH, Authority, make_authority
from proxy.transport.flow import ListenOn, Target, TransportFailed
from proxy.transport.network import SocketNetwork
from proxy.transport.tls import ClientRules, ClientTls, ServerTls, TlsProfiles
from proxy.transport.tls_policy import TlsPolicy
from tests.transport.recorder import Recorder, ca_file, options

pytestmark = pytest.mark.network

PATIENCE_S = 10
BANDWIDTH = TlsPolicy(max_version="1.2", ciphers="AES256-SHA256:AES128-SHA")


class Bench:
    """Certificates, our networks, and openssl processes, with their cleanup."""

    def __init__(self, folder: Path, authority: Authority) -> None:
        self.folder, self.authority = folder, authority
        self.ca = ca_file(folder, authority)
        self._stack = contextlib.AsyncExitStack()

    async def __aenter__(self) -> Bench:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._stack.aclose()

    def certificate(self, *names: str, issuer: Authority | None = None, **extra: object) -> tuple[Path, Path]:
        made = (issuer or self.authority).issue(list(names), **extra)  # type: ignore[arg-type]
        paths = self.folder / f"{names[0]}.pem", self.folder / f"{names[0]}.key"
        for path, content in zip(paths, made, strict=True):
            path.write_bytes(content)
        return paths

    def network(self, profiles: TlsProfiles | None = None) -> tuple[SocketNetwork, Recorder]:
        network, recorder = SocketNetwork(profiles=profiles), Recorder()
        network.start(recorder)
        self._stack.push_async_callback(network.close)
        return network, recorder

    def client(self, rules: ClientRules) -> tuple[SocketNetwork, Recorder]:
        return self.network(TlsProfiles(None, {"trunk": ClientTls(rules=rules)}))

    async def openssl(self, *words: object) -> asyncio.subprocess.Process:
        pipe = asyncio.subprocess.PIPE
        child = await asyncio.create_subprocess_exec(
            "openssl", *map(str, words), stdin=pipe, stdout=pipe, stderr=asyncio.subprocess.STDOUT
        )
        self._stack.push_async_callback(killed, child)
        return child

    async def server(
        self, certificate: tuple[Path, Path], *words: object
    ) -> tuple[Target, asyncio.StreamReader]:
        """`openssl s_server`; its output shows what it received."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        chain, key = certificate
        child = await self.openssl(
            "s_server", "-4", "-accept", f"127.0.0.1:{port}", "-cert", chain, "-key", key, *words
        )
        assert child.stdout is not None
        await read_until(child.stdout, b"ACCEPT")
        return Target("tls", ("127.0.0.1", port), "sip.carrier.example", "trunk"), child.stdout


async def killed(child: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        child.kill()
    await child.wait()


async def read_until(stream: asyncio.StreamReader, wanted: bytes, *, times: int = 1) -> bytes:
    read = b""
    async with asyncio.timeout(PATIENCE_S):
        while read.count(wanted) < times:
            more = await stream.read(4096)
            assert more, read.decode(errors="replace")
            read += more
    return read


@pytest.fixture
async def bench(tmp_path: Path, authority: Authority) -> AsyncIterator[Bench]:
    async with Bench(tmp_path, authority) as made:
        yield made


async def lost(connect: Callable[[], object], recorder: Recorder) -> str:
    """The error of a connection that failed, or was lost right after."""
    try:
        await connect()  # type: ignore[misc]
    except TransportFailed as failure:
        return str(failure)
    async with asyncio.timeout(PATIENCE_S):
        return str((await recorder.losses.get())[1])


@pytest.mark.parametrize("cipher", ["AES128-SHA", "AES256-SHA256"])
async def test_outbound_tls_with_rsa_key_exchange_and_cbc_only_connects(bench, cipher):
    server = bench.certificate("sip.carrier.example", rsa_bits=2048)
    target, server_output = await bench.server(server, "-tls1_2", "-cipher", cipher)
    client, _ = bench.client(ClientRules(bench.ca, policy=BANDWIDTH))
    (await client.connect(target)).send(options("bandwidth"))
    output = await read_until(server_output, b"Call-ID: bandwidth")
    assert f"CIPHER is {cipher}".encode() in output


async def test_trunk_with_ciphers_outside_its_policy_is_refused(bench):
    server = bench.certificate("sip.carrier.example", rsa_bits=2048)
    target, _ = await bench.server(server, "-tls1_2", "-cipher", "ECDHE-RSA-AES256-GCM-SHA384")
    client, _ = bench.client(ClientRules(bench.ca, policy=BANDWIDTH))
    with pytest.raises(TransportFailed, match="handshake failure"):
        await client.connect(target)


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
async def test_our_client_certificate_is_presented_if_required(bench, version):
    server = bench.certificate("sip.carrier.example")
    ours = bench.certificate("sbc.example.com")
    target, server_output = await bench.server(
        server, version, "-Verify", 1, "-verify_return_error", "-CAfile", bench.ca
    )
    client, _ = bench.client(ClientRules(bench.ca, (), *ours))
    flow = await client.connect(target)
    assert flow.mutual
    flow.send(options("mutual"))
    output = await read_until(server_output, b"Call-ID: mutual")
    assert b"CN = sbc.example.com" in output or b"CN=sbc.example.com" in output


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
async def test_missing_client_certificate_fails_the_connection_if_required(bench, version):
    server = bench.certificate("sip.carrier.example")
    target, _ = await bench.server(server, version, "-Verify", 1, "-verify_return_error", "-CAfile", bench.ca)
    client, recorder = bench.client(ClientRules(bench.ca))
    assert "TLS" in await lost(lambda: client.connect(target), recorder)


async def test_wildcard_certificate_is_accepted_by_default_and_refused_if_strict_rfc5922_7_2(bench):
    target, server_output = await bench.server(bench.certificate("*.carrier.example"))
    client, _ = bench.client(ClientRules(bench.ca))
    flow = await client.connect(target)
    flow.send(options("wild"))
    await read_until(server_output, b"Call-ID: wild")
    flow.close()  # it serves one at a time
    strict, _ = bench.client(ClientRules(bench.ca, strict=True))
    with pytest.raises(TransportFailed, match=r"is for \*\.carrier\.example, not for sip\.carrier\.example"):
        await strict.connect(target)


async def test_certificate_for_another_name_is_refused(bench):
    target, _ = await bench.server(bench.certificate("sip.other.example", "*.example"))
    client, _ = bench.client(ClientRules(bench.ca))
    with pytest.raises(TransportFailed, match=r"its certificate is for sip\.other\.example"):
        await client.connect(target)


async def test_sip_uri_in_subject_alt_name_identifies_the_server_rfc5922_7_1(bench):
    target, server_output = await bench.server(
        bench.certificate("host7.example.net", uri_sans=["sip:sip.carrier.example"])
    )
    client, _ = bench.client(ClientRules(bench.ca, strict=True))
    (await client.connect(target)).send(options("uri"))
    await read_until(server_output, b"Call-ID: uri")


# Those who call us.


async def listening(
    bench: Bench, clients: str, **server: object
) -> tuple[tuple[str, int], SocketNetwork, Recorder]:
    network, recorder = bench.network()
    chain, key = bench.certificate("edge.example", **server)
    policy = BANDWIDTH if server else TlsPolicy()
    tls = ServerTls(chain, key, policy, clients, bench.ca)
    return await network.listen(ListenOn("tls", ("127.0.0.1", 0), tls)), network, recorder


async def connect_and_send(bench: Bench, port: int, *words: object) -> asyncio.subprocess.Process:
    """`openssl s_client` that sends one message."""
    child = await bench.openssl("s_client", "-connect", f"127.0.0.1:{port}", "-CAfile", bench.ca, *words)
    assert child.stdin is not None
    child.stdin.write(options("from openssl"))
    await child.stdin.drain()
    return child


async def test_client_with_a_server_only_certificate_is_authenticated_rfc5922_7_3(bench):
    (_, port), network, recorder = await listening(bench, "require")
    chain, key = bench.certificate("host.example", uri_sans=["sip:sip.carrier.example"], ekus=[SERVER_AUTH])
    await connect_and_send(bench, port, "-cert", chain, "-key", key)
    async with asyncio.timeout(PATIENCE_S):
        flow, data = await recorder.messages.get()
    assert data == options("from openssl")
    assert flow.peer_names == {"sip.carrier.example"}
    assert flow.mutual
    assert network.connections.refused == {}


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
async def test_client_without_a_certificate_is_refused_if_required(bench, version):
    (_, port), network, recorder = await listening(bench, "require")
    child = await connect_and_send(bench, port, version)
    assert child.stdout is not None
    await read_until(child.stdout, b"alert")
    assert recorder.messages.empty()
    assert network.connections.refused == {"protocol": 1}


async def test_client_certificate_of_an_untrusted_ca_is_refused_if_required(bench):
    (_, port), network, recorder = await listening(bench, "require")
    chain, key = bench.certificate("sip.carrier.example", issuer=make_authority("another"))
    child = await connect_and_send(bench, port, "-cert", chain, "-key", key)
    assert child.stdout is not None
    await read_until(child.stdout, b"alert")
    assert recorder.messages.empty()
    assert network.connections.refused == {"certificate": 1}


async def test_inbound_tls_with_rsa_key_exchange_and_cbc_only_connects(bench):
    (_, port), _, recorder = await listening(bench, "off", rsa_bits=2048)
    child = await connect_and_send(bench, port, "-tls1_2", "-cipher", "AES128-SHA")
    assert child.stdout is not None
    await read_until(child.stdout, b"AES128-SHA")
    async with asyncio.timeout(PATIENCE_S):
        assert (await recorder.messages.get())[1] == options("from openssl")


async def test_tls_session_is_never_resumed(bench):
    (_, port), _, _ = await listening(bench, "require")
    chain, key = bench.certificate("sip.carrier.example")
    child = await connect_and_send(bench, port, "-cert", chain, "-key", key, "-tls1_2", "-reconnect")
    assert child.stdout is not None
    output = await read_until(child.stdout, b", TLSv1.2", times=2)
    assert b"New, TLSv1.2" in output
    assert b"Reused, TLSv1.2" not in output
