"""SocketNetwork over the loopback interface: connections made, shared, reused, refused and closed."""

from __future__ import annotations

import asyncio
import os
import socket

import pytest

from proxy.sip.uri import Uri
from proxy.transport.connections import ConnectionLimits
from proxy.transport.devcert import make_authority
from proxy.transport.flow import ListenOn, Target, TransportFailed
from proxy.transport.network import SocketNetwork
from proxy.transport.stream import KEEP_ALIVE
from proxy.transport.tls import ClientRules, ClientTls, ServerTls, TlsProfiles
from proxy.transport.tls_policy import TlsPolicy
from tests.transport.recorder import Recorder, ca_file, options, server_tls

pytestmark = pytest.mark.network

TCP = ListenOn("tcp", ("127.0.0.1", 0))


@pytest.fixture
def tls(tmp_path, authority):
    return ListenOn("tls", ("127.0.0.1", 0), server_tls(tmp_path, authority, "edge.example", "*.lab.example"))


@pytest.fixture(params=["tcp", "tls"])
def endpoint(request, tls):
    return TCP if request.param == "tcp" else tls


async def linked(edge, endpoint):
    """Two networks and a connection from the second to the first."""
    (server, server_recorder), (client, client_recorder) = edge(), edge()
    address = await server.listen(endpoint)
    target = Target(endpoint.transport, address, "edge.example")
    return server, server_recorder, client, client_recorder, target


async def test_messages_go_both_ways_on_one_connection(edge, endpoint):
    server, server_recorder, client, client_recorder, target = await linked(edge, endpoint)
    flow = await client.connect(target)
    assert (flow.transport, flow.reliable, flow.remote) == (endpoint.transport, True, target.address)
    assert flow.peer_name == ("edge.example" if endpoint.transport == "tls" else None)
    flow.send(options("there"))
    inbound, data = await server_recorder.messages.get()
    assert data == options("there")
    assert inbound.remote == flow.local
    assert inbound.peer_name is None
    inbound.send(options("back"))
    assert await client_recorder.messages.get() == (flow, options("back"))
    assert len(server.connections) == len(client.connections) == 1


async def test_large_message_arrives_whole(edge, endpoint):
    _, server_recorder, client, _, target = await linked(edge, endpoint)
    big = options(body=bytes(range(256)) * 250)
    (await client.connect(target)).send(big)
    assert (await server_recorder.messages.get())[1] == big


async def test_open_connection_is_reused(edge, endpoint):
    _server, _, client, _, target = await linked(edge, endpoint)
    assert await client.connect(target) is await client.connect(target)
    assert len(client.connections) == 1


async def test_concurrent_connects_share_one_attempt(edge, endpoint):
    _server, _, client, _, target = await linked(edge, endpoint)
    flows = await asyncio.gather(*(client.connect(target) for _ in range(5)))
    assert len(set(flows)) == 1
    assert len(client.connections) == 1


async def test_cancelled_connect_does_not_cancel_the_shared_attempt(edge, endpoint):
    _, server_recorder, client, _, target = await linked(edge, endpoint)
    impatient = asyncio.create_task(client.connect(target))
    patient = asyncio.create_task(client.connect(target))
    await asyncio.sleep(0)
    impatient.cancel()
    (await patient).send(options())
    assert (await server_recorder.messages.get())[1] == options()
    assert impatient.cancelled()


async def test_another_tls_name_at_the_same_address_gets_its_own_connection(edge, tls):
    _, _, client, _, target = await linked(edge, tls)
    first = await client.connect(target)
    second = await client.connect(Target("tls", target.address, "one.lab.example"))
    assert first is not second
    assert second.peer_name == "one.lab.example"


async def test_certificate_for_another_name_is_refused(edge, tls):
    _server, _server_recorder, client, client_recorder, target = await linked(edge, tls)
    with pytest.raises(TransportFailed) as failed:
        await client.connect(Target("tls", target.address, "bank.example"))
    message = str(failed.value)
    assert message.startswith(
        f"no connection to bank.example (127.0.0.1 port {target.address[1]}) over tls: "
    )
    assert "is for edge.example, *.lab.example, not for bank.example" in message
    assert client_recorder.losses.empty()


async def test_untrusted_ca_is_refused(edge, tls, tmp_path):
    server, _ = edge()
    address = await server.listen(tls)
    other = tmp_path / "other.pem"
    other.write_bytes(make_authority("other").cert_pem)
    client = SocketNetwork(client_tls=ClientTls(other))
    client.start(Recorder())
    with pytest.raises(TransportFailed, match="authority that is not trusted here"):
        await client.connect(Target("tls", address, "edge.example"))
    await client.close()
    assert len(client.connections) == 0


async def test_default_trust_store_refuses_our_test_ca(edge, tls):
    server, _ = edge()
    address = await server.listen(tls)
    client = SocketNetwork()
    client.start(Recorder())
    with pytest.raises(TransportFailed, match="not trusted here"):
        await client.connect(Target("tls", address, "edge.example"))
    await client.close()


async def test_refused_connection_is_reported(edge):
    client, _ = edge()
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = unused.getsockname()
    with pytest.raises(TransportFailed, match=r"no connection to nobody\.example .* over tcp: "):
        await client.connect(Target("tcp", address, "nobody.example"))


async def test_peer_closing_during_the_handshake_is_reported(edge):
    client, client_recorder = edge()

    async def hang_up(reader, writer):
        writer.close()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    address = server.sockets[0].getsockname()
    with pytest.raises(TransportFailed, match=r"closed by the peer|reset by peer"):
        await client.connect(Target("tls", address, "edge.example"))
    server.close()
    assert client_recorder.losses.empty()


async def test_restarted_server_gets_a_new_connection(edge, endpoint):
    server, _, client, client_recorder, target = await linked(edge, endpoint)
    old = await client.connect(target)
    await server.close()
    flow, error = await client_recorder.losses.get()
    assert flow is old
    assert "was closed by the peer" in str(error)
    with pytest.raises(TransportFailed):
        old.send(options())
    again, again_recorder = edge()
    await again.listen(ListenOn(endpoint.transport, target.address, endpoint.tls))
    new = await client.connect(target)
    assert new is not old
    new.send(options())
    assert (await again_recorder.messages.get())[1] == options()


async def test_flow_that_we_closed_is_not_reused(edge, endpoint):
    _server, _, client, client_recorder, target = await linked(edge, endpoint)
    old = await client.connect(target)
    old.close()
    assert await client.connect(target) is not old
    assert client_recorder.losses.empty()


async def test_incomplete_message_before_close_is_not_delivered(edge):
    server, server_recorder = edge()
    address = await server.listen(TCP)
    _, writer = await asyncio.open_connection(*address)
    writer.write(options("1") + options("2")[:25])
    flow, data = await server_recorder.messages.get()
    writer.close()
    assert data == options("1")
    assert (await server_recorder.losses.get())[0] is flow
    assert server_recorder.messages.empty()


async def test_crlf_ping_over_tcp_is_answered_rfc5626_4_4_1(edge):
    server, _ = edge()
    reader, writer = await asyncio.open_connection(*await server.listen(TCP))
    writer.write(b"\r\n\r\n")
    assert await reader.readexactly(2) == b"\r\n"
    writer.close()


async def test_unframeable_stream_is_answered_and_closed(edge):
    server, server_recorder = edge()
    server_recorder.goodbye = b"SIP/2.0 400 Bad Request\r\n\r\n"
    reader, writer = await asyncio.open_connection(*await server.listen(TCP))
    writer.write(b"OPTIONS sip:edge SIP/2.0\r\nContent-Length: x\r\n\r\n")
    assert await reader.read() == server_recorder.goodbye
    assert server_recorder.faults.qsize() == 1
    writer.close()


async def test_closing_the_network_fails_pending_connects():
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        client = SocketNetwork()
        client.start(Recorder())
        waiting = asyncio.create_task(client.connect(Target("tls", silent.getsockname(), "silent.example")))
        await asyncio.sleep(0)
        await client.close()
        with pytest.raises(TransportFailed, match="the network is closed"):
            await waiting
        with pytest.raises(TransportFailed, match="the network is closed"):
            await client.connect(Target("tcp", silent.getsockname(), "silent.example"))
    assert len(client.connections) == 0


async def test_closing_the_network_flushes_sent_data_and_reports_no_loss(edge, endpoint):
    _server, server_recorder, client, client_recorder, target = await linked(edge, endpoint)
    flow = await client.connect(target)
    flow.send(options("last"))
    await client.close()
    assert (await server_recorder.messages.get())[1] == options("last")
    assert client_recorder.losses.empty()
    await server_recorder.losses.get()


async def test_connection_accepted_while_the_network_closes_is_aborted(edge):
    server, _ = edge()
    address = await server.listen(TCP)
    server.connections.closing = True  # as if closed between the kernel's accept and connection_made
    reader, writer = await asyncio.open_connection(*address)
    with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
        await reader.readexactly(1)
    writer.close()


async def test_uri_is_resolved_and_connected(edge):
    server, server_recorder = edge()
    client, _ = edge()
    _, port = await server.listen(TCP)
    targets = await client.resolve(Uri.parse(f"sip:edge@127.0.0.1:{port};transport=tcp"))
    (await client.connect(targets[0])).send(options())
    assert (await server_recorder.messages.get())[1] == options()


@pytest.mark.parametrize(
    ("endpoint", "message"),
    [
        (ListenOn("tls", ("127.0.0.1", 0)), "a tls listener needs a certificate and a key"),
        (ListenOn("ws", ("127.0.0.1", 0)), "transport not supported: ws"),
        (ListenOn("tcp", ("192.0.2.1", 0)), "cannot listen on tcp 192.0.2.1 port 0: "),
    ],
)
async def test_invalid_listener_is_refused_with_the_reason(edge, endpoint, message):
    network, _ = edge()
    with pytest.raises(TransportFailed, match=message):
        await network.listen(endpoint)


async def test_unsupported_transport_is_refused(edge):
    network, _ = edge()
    with pytest.raises(TransportFailed, match="transport not supported: ws"):
        await network.connect(Target("ws", ("127.0.0.1", 5060), "localhost"))


async def test_tcp_keepalive_is_set_on_both_ends(edge, endpoint):
    """The agent's calls share one connection: until it is known to be dead, all of them fail."""
    _, server_recorder, client, _, target = await linked(edge, endpoint)
    flow = await client.connect(target)
    flow.send(options("1"))
    accepted, _ = await server_recorder.messages.get()
    for end in (flow, accepted):
        connection = end._wire.get_extra_info("socket")
        option = connection.getsockopt
        found = {name: option(socket.IPPROTO_TCP, getattr(socket, name)) for name in KEEP_ALIVE}
        assert found == KEEP_ALIVE


@pytest.mark.parametrize("transport", ["udp", "tcp", "tls"])
async def test_every_transport_speaks_ipv6(edge, tmp_path, authority, transport):
    server, server_recorder = edge()
    client, client_recorder = edge()
    tls = server_tls(tmp_path, authority, "localhost", ips=("::1",))
    host, port = await server.listen(ListenOn(transport, ("::1", 0), tls))
    assert host == "::1"
    if transport == "udp":
        await client.listen(ListenOn("udp", ("::1", 0)))
    (target,) = await client.resolve(Uri.parse(f"sip:edge@[::1]:{port};transport={transport}"))
    assert target == Target(transport, ("::1", port), "::1")
    (await client.connect(target)).send(options("1"))
    flow, data = await server_recorder.messages.get()
    assert (data, flow.remote[0], flow.local) == (options("1"), "::1", ("::1", port))
    flow.send(options("2"))
    assert (await client_recorder.messages.get())[1] == options("2")


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_ipv6_wildcard_listener_leaves_the_ipv4_port_free(edge, transport):
    network, _ = edge()
    _, port = await network.listen(ListenOn(transport, ("0.0.0.0", 0)))  # few others use IPv6 ports here
    assert await network.listen(ListenOn(transport, ("::", port))) == ("::", port)


# Strangers.


async def test_stranger_connections_are_limited_without_affecting_known_peers(tls):
    """Unknown peers connect from 127.0.0.2, a known one from 127.0.0.1."""
    network, recorder = SocketNetwork(strangers=ConnectionLimits(10, 8, 5, 5)), Recorder()
    recorder.welcomes = lambda flow: flow.remote[0] == "127.0.0.1"  # type: ignore[method-assign]
    network.start(recorder)
    addresses = [await network.listen(endpoint) for endpoint in (TCP, tls)]
    stranger_writers = []
    for n in range(60):
        stranger = await asyncio.open_connection(*addresses[n % 2], local_addr=(f"127.0.0.{2 + n % 3}", 0))
        stranger_writers.append(stranger[1])
        assert len(network.connections) <= 12
    ours = [await asyncio.open_connection(*addresses[0], local_addr=("127.0.0.1", 0)) for _ in range(20)]
    for _, writer in ours:
        writer.write(options())
    for _ in ours:
        assert (await recorder.messages.get())[0].remote[0] == "127.0.0.1"
    assert network.connections.strangers <= 10
    assert len(network.connections) <= 30
    assert sum(network.connections.refused.values()) >= 50
    for writer in (*stranger_writers, *(writer for _, writer in ours)):
        writer.close()
    await network.close()


# Certificates of both sides.


def mutual(tmp_path, authority, name, clients="require"):
    """A listener that requests client certificates, and a network that presents one for `name`."""
    ca = ca_file(tmp_path, authority)
    own = server_tls(tmp_path, authority, "edge.example")
    chain, key = tmp_path / f"{name}.pem", tmp_path / f"{name}.key"
    for path, content in zip((chain, key), authority.issue([name]), strict=True):
        path.write_bytes(content)
    listen = ListenOn("tls", ("127.0.0.1", 0), ServerTls(own.certificate, own.key, TlsPolicy(), clients, ca))
    return listen, TlsProfiles(None, {"trunk": ClientTls(rules=ClientRules(ca, (), chain, key))})


@pytest.fixture
async def carrier(edge, tmp_path, authority):
    """Our end and the carrier's end of a mutually authenticated connection made by the carrier."""
    server, server_recorder = edge()
    listen, profiles = mutual(tmp_path, authority, "sip.carrier.example")
    address = await server.listen(listen)
    client, client_recorder = SocketNetwork(profiles=profiles), Recorder()
    client.start(client_recorder)
    there = await client.connect(Target("tls", address, "edge.example", "trunk"))
    there.send(options())
    here, _ = await server_recorder.messages.get()
    yield server, here, client_recorder
    await client.close()


async def test_connection_opened_by_a_carrier_is_used_for_calls_to_it_rfc5923_8_2(carrier):
    server, here, client_recorder = carrier
    server.alias(here, 5061)
    flow = await server.connect(Target("tls", ("127.0.0.1", 5061), "SIP.carrier.example"))
    assert flow is here
    flow.send(options("back"))
    assert (await client_recorder.messages.get())[1] == options("back")


async def test_alias_applies_only_to_the_name_in_the_certificate_rfc5923_8_2_1(carrier):
    server, here, _ = carrier
    server.alias(here, 1)
    with pytest.raises(TransportFailed, match=r"no connection to bank\.example"):
        await server.connect(Target("tls", ("127.0.0.1", 1), "bank.example"))
    with pytest.raises(TransportFailed, match="no connection to sip"):
        await server.connect(Target("tcp", ("127.0.0.1", 1), "sip.carrier.example"))


async def test_alias_ends_with_its_connection(carrier):
    server, here, _ = carrier
    server.alias(here, 1)
    here.close()
    await here.socket_closed
    assert server._dialer._aliases == {}
    with pytest.raises(TransportFailed):
        await server.connect(Target("tls", ("127.0.0.1", 1), "sip.carrier.example"))


async def test_end_of_an_older_connection_keeps_the_alias_of_the_newer(edge, tmp_path, authority):
    server, recorder = edge()
    listen, profiles = mutual(tmp_path, authority, "sip.carrier.example")
    address = await server.listen(listen)
    ends, clients = [], [SocketNetwork(profiles=profiles) for _ in range(2)]
    for client in clients:
        client.start(Recorder())
        (await client.connect(Target("tls", address, "edge.example", "trunk"))).send(options())
        ends.append((await recorder.messages.get())[0])
        server.alias(ends[-1], 5061)
    ends[0].close()
    await ends[0].socket_closed
    assert await server.connect(Target("tls", ("127.0.0.1", 5061), "sip.carrier.example")) is ends[1]
    for client in clients:
        await client.close()


async def test_no_alias_without_mutual_tls_rfc5923_9(edge, endpoint):
    server, server_recorder, client, _, target = await linked(edge, endpoint)
    flow = await client.connect(target)
    flow.send(options())
    here, _ = await server_recorder.messages.get()
    assert not here.mutual
    server.alias(here, 5061)
    client.alias(flow, 5061)
    assert server._dialer._aliases == client._dialer._aliases == {}


async def test_renewed_certificates_and_cas_apply_to_new_connections_only(edge, tmp_path, authority):
    server, server_recorder = edge()
    listen, profiles = mutual(tmp_path, authority, "old.example")
    address = await server.listen(listen)
    client = SocketNetwork(profiles=profiles)
    client.start(Recorder())
    target = Target("tls", address, "edge.example", "trunk")
    old = await client.connect(target)
    old.send(options("1"))
    assert (await server_recorder.messages.get())[0].peer_names == {"old.example"}
    other = make_authority("another")
    renew(tmp_path / "ca.pem", other.cert_pem)
    for stem, names in (("old.example", ["new.example"]), ("fullchain", ["edge.example"])):
        chain, key = other.issue(names)
        renew(tmp_path / f"{stem}.pem", chain)
        renew(tmp_path / ("privkey.pem" if stem == "fullchain" else f"{stem}.key"), key)
    new = await client.connect(Target("tls", address, "EDGE.example", "trunk"))
    new.send(options("2"))
    assert (await server_recorder.messages.get())[0].peer_names == {"new.example"}
    old.send(options("3"))
    assert (await server_recorder.messages.get())[0].peer_names == {"old.example"}
    await client.close()


def renew(path, content):
    """Replace a file's content, with a changed mtime whatever the resolution of the clock."""
    stamp = path.stat().st_mtime_ns
    path.write_bytes(content)
    os.utime(path, ns=(stamp + 1_000_000, stamp + 1_000_000))


async def test_repeated_aliases_of_a_connection_leave_only_the_last_rfc5923_8_2(carrier):
    server, here, _ = carrier
    before = len(here.socket_closed._callbacks or ())
    for port in [*[5061] * 100, *range(1, 100), 5062]:
        server.alias(here, port)
    assert server._dialer._aliases == {("127.0.0.1", 5062): here}
    assert len(here.socket_closed._callbacks) == before + 1
    assert await server.connect(Target("tls", ("127.0.0.1", 5062), "sip.carrier.example")) is here
