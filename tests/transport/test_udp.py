"""UDP over the loopback interface."""

from __future__ import annotations

import asyncio
import socket
import sys

import pytest
from structlog.testing import capture_logs

from proxy.transport import stun
from proxy.transport.flow import ListenOn, Target, TransportFailed
from proxy.transport.udp import MAX_DRAIN, UdpFlow, UdpListener, pick_listener
from tests.transport.recorder import Recorder, options
from tests.transport.test_stun import REQUEST

pytestmark = pytest.mark.network

ANYWHERE = ListenOn("udp", ("127.0.0.1", 0))


@pytest.fixture
def phone():
    """A plain UDP socket of a peer."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        peer.bind(("127.0.0.1", 0))
        peer.setblocking(False)
        yield peer


async def received_by(peer: socket.socket) -> bytes:
    return await asyncio.wait_for(asyncio.get_running_loop().sock_recv(peer, 65535), 5)


async def test_datagram_is_received_and_its_flow_answers(edge, phone):
    network, recorder = edge()
    address = await network.listen(ANYWHERE)
    phone.sendto(options(), address)
    flow, data = await recorder.messages.get()
    assert data == options()
    assert (flow.transport, flow.reliable, flow.peer_name) == ("udp", False, None)
    assert (flow.local, flow.remote) == (address, phone.getsockname())
    flow.close()
    assert not flow.closed
    flow.send(b"SIP/2.0 200 OK\r\n\r\n")
    assert await received_by(phone) == b"SIP/2.0 200 OK\r\n\r\n"


async def test_flow_to_a_target_sends_from_the_listener(edge, phone):
    network, _ = edge()
    address = await network.listen(ANYWHERE)
    flow = await network.connect(Target("udp", phone.getsockname(), "phone.example"))
    flow.send(options())
    data, source = phone.recvfrom(65535)
    assert (data, source) == (options(), address)
    assert len(network.connections) == 0


async def test_stun_of_a_known_phone_is_answered_and_a_stranger_s_is_not_rfc5626_4_4_2(edge, phone):
    """Otherwise a phone that uses `outbound` considers its registration lost."""
    network, recorder = edge()
    address = await network.listen(ANYWHERE)
    phone.sendto(REQUEST, address)
    assert await received_by(phone) == stun.answer(REQUEST, phone.getsockname())
    assert recorder.messages.empty()
    recorder.welcoming = False
    phone.sendto(REQUEST, address)
    await recorder.messages.get()
    with pytest.raises(BlockingIOError):
        phone.recv(65535)


async def test_flows_to_one_peer_are_equal(edge, phone):
    network, recorder = edge()
    address = await network.listen(ANYWHERE)
    phone.sendto(options("1"), address)
    phone.sendto(options("2"), address)
    (first, _), (second, _) = await recorder.messages.get(), await recorder.messages.get()
    assert first == second
    assert len({first, second}) == 1


@pytest.mark.parametrize("keepalive", [b"\r\n\r\n", b"\r\n", b"\0", b"\0\0\0\0", b""])
async def test_keepalive_datagram_is_ignored(edge, phone, keepalive):
    network, recorder = edge()
    address = await network.listen(ANYWHERE)
    phone.sendto(keepalive, address)
    phone.sendto(b"\r\n" + options(), address)
    assert (await recorder.messages.get())[1] == options()
    assert recorder.messages.empty()


async def test_burst_of_200_datagrams_arrives_in_order(edge, phone):
    network, recorder = edge()
    address = await network.listen(ANYWHERE)
    for number in range(200):
        phone.sendto(options(str(number)), address)
    got = [(await recorder.messages.get())[1] for _ in range(200)]
    assert got == [options(str(number)) for number in range(200)]


async def test_icmp_port_unreachable_does_not_break_the_listener(edge, phone):
    network, recorder = edge()
    address = await network.listen(ANYWHERE)
    gone = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    gone.bind(("127.0.0.1", 0))
    closed_port = gone.getsockname()
    gone.close()
    flow = await network.connect(Target("udp", closed_port, "127.0.0.1"))
    for _ in range(3):
        flow.send(options("lost"))  # each is answered by an ICMP port unreachable
    phone.sendto(options(), address)
    assert (await recorder.messages.get())[1] == options()


class FailingSocket:
    """A socket whose calls fail with these errors, in turn."""

    def __init__(self, *answers: object) -> None:
        self.answers = list(answers)
        self.sent: list[bytes] = []

    def _next(self) -> object:
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def sendto(self, data: bytes, remote: object) -> None:
        self._next()
        self.sent.append(data)

    def recvfrom(self, size: int) -> object:
        return self._next()


@pytest.fixture
async def listener():
    recorder = Recorder()
    made = UdpListener(("127.0.0.1", 0), recorder)
    real = made.socket
    yield made, recorder
    made.socket = real
    made.close()


async def test_pending_socket_error_does_not_lose_the_next_datagram(listener):
    udp, recorder = listener
    udp.socket = FailingSocket(ConnectionRefusedError(111, "Connection refused"), 1)
    udp.flow(("192.0.2.1", 5060)).send(b"x")
    assert udp.socket.sent == [b"x"]
    came = (b"x", ("192.0.2.1", 5060))
    udp.socket = FailingSocket(ConnectionRefusedError(111, "refused"), came, BlockingIOError())
    udp._drain()
    assert recorder.all_messages() == [b"x"]


async def test_single_datagram_is_read_with_one_system_call(listener):
    udp, recorder = listener
    udp.socket = FailingSocket((b"x", ("192.0.2.1", 5060)))
    udp._drain()
    assert recorder.all_messages() == [b"x"]


async def test_waiting_datagrams_are_read_together_up_to_a_limit(listener, phone):
    udp, recorder = listener
    for _ in range(MAX_DRAIN + 1):
        phone.sendto(b"x", udp.local)
    udp._drain()
    assert len(recorder.all_messages()) == MAX_DRAIN
    udp._drain()
    assert len(recorder.all_messages()) == 1


async def test_datagram_is_dropped_and_logged_if_the_send_buffer_is_full(listener):
    udp, _ = listener
    udp.socket = FailingSocket(BlockingIOError())
    with capture_logs() as logs:
        udp.flow(("192.0.2.1", 5060)).send(b"x")
    assert logs[0]["event"] == "datagram dropped, the send buffer is full"


async def test_datagram_the_kernel_refuses_raises_transport_failed(listener):
    udp, _ = listener
    udp.socket = FailingSocket(OSError(101, "Network is unreachable"))
    with pytest.raises(TransportFailed, match=r"192\.0\.2\.1 port 5060: Network is unreachable"):
        udp.flow(("192.0.2.1", 5060)).send(b"x")


async def test_receiver_exception_is_logged_and_the_next_datagram_received(edge, phone):
    network, recorder = edge()
    recorder.fails_on = options("1")
    address = await network.listen(ANYWHERE)
    with capture_logs() as logs:
        phone.sendto(options("1"), address)
        phone.sendto(options("2"), address)
        assert (await recorder.messages.get())[1] == options("2")
    assert "receiver failed" in [line["event"] for line in logs]


async def test_receiver_may_close_the_listener_while_datagrams_wait(phone):
    class Closing(Recorder):
        def received(self, flow, data):
            super().received(flow, data)
            flow.listener.close()

    recorder = Closing()
    udp = UdpListener(("127.0.0.1", 0), recorder)
    phone.sendto(options("1"), udp.local)
    phone.sendto(options("2"), udp.local)
    flow, _ = await recorder.messages.get()
    assert flow.closed
    assert recorder.messages.empty()
    with pytest.raises(TransportFailed, match="is closed"):
        flow.send(options())


async def test_address_in_use_is_reported(edge):
    network, _ = edge()
    address = await network.listen(ANYWHERE)
    with pytest.raises(TransportFailed, match=rf"cannot listen on udp 127\.0\.0\.1 port {address[1]}: "):
        await network.listen(ListenOn("udp", address))


async def test_peer_of_another_ip_version_needs_its_own_listener(edge):
    network, _ = edge()
    await network.listen(ANYWHERE)
    with pytest.raises(TransportFailed, match="no udp listener can send to 2001:db8::1"):
        await network.connect(Target("udp", ("2001:db8::1", 5060), "six.example"))


async def test_loopback_peer_is_served_from_the_loopback_listener():
    anyone, local = (UdpListener((host, 0), Recorder()) for host in ("0.0.0.0", "127.0.0.1"))
    assert pick_listener([anyone, local], ("127.0.0.1", 5060)) is local
    assert pick_listener([local, anyone], ("192.0.2.1", 5060)) is anyone
    assert pick_listener([anyone], ("127.0.0.1", 5060)) is anyone
    local.close()
    local.close()
    assert pick_listener([anyone, local], ("127.0.0.1", 5060)) is anyone
    anyone.close()


@pytest.mark.skipif(sys.platform != "linux", reason="other systems let routers cut by themselves")
async def test_path_mtu_discovery_is_off_so_that_routers_may_fragment(listener):
    udp, _ = listener
    discover_mtu, never = 10, 0  # as ip(7) has them
    assert udp.socket.getsockopt(socket.IPPROTO_IP, discover_mtu) == never


async def test_listener_is_chosen_by_the_route_to_the_peer():
    outside, inside, any_ = (
        UdpListener((host, 0), Recorder()) for host in ("127.0.0.2", "127.0.0.3", "0.0.0.0")
    )
    phone = ("127.0.0.9", 5060)

    def picked(listeners, source):
        return pick_listener(listeners, phone, lambda remote: source if remote == phone[0] else None)

    assert picked([outside, inside], "127.0.0.3") is inside
    assert picked([inside, outside], "127.0.0.2") is outside
    assert picked([outside, inside], "127.0.0.1") is outside
    assert picked([outside, inside], None) is outside
    carrier = ("192.0.2.1", 5060)
    assert pick_listener([any_, outside], carrier) is any_
    other = UdpListener(("0.0.0.0", 0), Recorder())
    other.local = "192.0.2.9", 5061  # an address that this machine has not
    for first, second in ((any_, other), (other, any_)):
        assert pick_listener([first, second], carrier, lambda remote: "192.0.2.9") is first
    other.close()
    for listener in (outside, inside, any_):
        listener.close()


async def test_ipv6_remote_has_no_brackets_or_scope(edge):
    network, recorder = edge()
    address = await network.listen(ListenOn("udp", ("::1", 0)))
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as peer:
        peer.sendto(options(), address)
        flow, _ = await recorder.messages.get()
        assert isinstance(flow, UdpFlow)
        assert flow.remote[0] == "::1"
        assert len(flow.remote) == 2
