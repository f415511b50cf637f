"""UDP media sockets: draining, fairness between sockets, and closing from within a callback."""

import asyncio

import pytest

from proxy.media.udp import SocketMedia, SocketPair
from tests.sipp.ports import free_block

pytestmark = pytest.mark.network


class _Receiver:
    def __init__(self) -> None:
        self.heard: asyncio.Queue[tuple[bytes, tuple[str, int]]] = asyncio.Queue()

    def __call__(self, packet: memoryview, source: tuple[str, int]) -> None:
        self.heard.put_nowait((bytes(packet), source))

    async def next(self) -> tuple[bytes, tuple[str, int]]:
        async with asyncio.timeout(5):
            return await self.heard.get()


async def test_packets_arrive_in_order_with_their_source_address():
    media, receiver = SocketMedia(), _Receiver()
    one, two = media.bind("127.0.0.1", 0, receiver), media.bind("127.0.0.1", 0, receiver)
    for n in range(100):  # more than are read in one loop turn
        one.send(bytes([n]), two.address)
    heard = [await receiver.next() for _ in range(100)]
    assert heard == [(bytes([n]), one.address) for n in range(100)]
    one.close()
    two.close()


async def test_binding_a_port_in_use_raises_and_a_closed_port_is_free():
    media = SocketMedia()
    one = media.bind("127.0.0.1", 0, _Receiver())
    with pytest.raises(OSError, match="in use"):
        media.bind("127.0.0.1", one.address[1], _Receiver())
    one.close()
    one.close()
    media.bind("127.0.0.1", one.address[1], _Receiver()).close()


async def test_packet_the_kernel_refuses_to_send_is_dropped():
    receiver = _Receiver()
    one = SocketMedia().bind("127.0.0.1", 0, receiver)
    one.send(b"x", ("127.0.0.1", 0))
    one.send(b"x", ("2001:db8::1", 9))
    one.send(b"x", ("127.0.0.1", 70000))
    one.send(bytes(70000), one.address)
    one.send(b"next", one.address)
    assert (await receiver.next())[0] == b"next"
    one.close()
    one.send(b"x", one.address)


async def test_oversized_packet_is_dropped():
    receiver = _Receiver()
    one = SocketMedia().bind("127.0.0.1", 0, receiver)
    one.send(bytes(2048), one.address)
    one.send(b"next", one.address)
    assert (await receiver.next())[0] == b"next"
    one.close()


async def test_received_buffer_can_be_changed_and_sent_in_place():
    media, receiver = SocketMedia(), _Receiver()
    end = media.bind("127.0.0.1", 0, receiver)

    def relay(packet: memoryview, source: tuple[str, int]) -> None:
        packet[0] += 1
        middle.send(packet, end.address)

    middle = media.bind("127.0.0.1", 0, relay)
    for n in range(3):
        end.send(bytes([n]) * (n + 1), middle.address)
    heard = [await receiver.next() for _ in range(3)]
    assert heard == [(b, middle.address) for b in (b"\x01", b"\x02\x01", b"\x03\x02\x02")]
    middle.close()
    end.close()


async def test_flood_on_one_port_does_not_delay_another():
    media, order = SocketMedia(), []
    flooded = media.bind("127.0.0.1", 0, lambda packet, source: order.append("flood"))
    receiver = _Receiver()
    calm = media.bind("127.0.0.1", 0, lambda packet, source: (order.append("calm"), receiver(packet, source)))
    peer = media.bind("127.0.0.1", 0, _Receiver())
    for _ in range(100):
        peer.send(b"x", flooded.address)
    peer.send(b"y", calm.address)
    await receiver.next()
    assert order.index("calm") <= 1
    for endpoint in (flooded, calm, peer):
        endpoint.close()


async def test_event_loop_runs_between_reads_of_many_sockets():
    media, order, receiver = SocketMedia(), [], _Receiver()
    peer = media.bind("127.0.0.1", 0, receiver)

    def heard(packet: memoryview, source: tuple[str, int]) -> None:
        if not order:
            asyncio.get_running_loop().call_soon(order.append, "signalling")
        order.append("packet")
        peer.send(packet, peer.address)

    many = [media.bind("127.0.0.1", 0, heard) for _ in range(100)]
    for endpoint in many:
        peer.send(b"x", endpoint.address)
    for _ in many:
        await receiver.next()
    assert 0 < order.index("signalling") < 100
    for endpoint in (*many, peer):
        endpoint.close()


class _ManySockets:
    """Many sockets that share a receiver; `send_to_all` sends one packet to each."""

    def __init__(self, media: SocketMedia, count: int = 210) -> None:
        self.receiver = _Receiver()
        self.peer = media.bind("127.0.0.1", 0, _Receiver())
        self.members = [media.bind("127.0.0.1", 0, self.receiver) for _ in range(count)]

    async def send_to_all(self, text: bytes) -> list[bytes]:
        for member in self.members:
            self.peer.send(text, member.address)
        return [(await self.receiver.next())[0] for _ in self.members]

    def close(self) -> None:
        for member in (*self.members, self.peer):
            member.close()


@pytest.mark.parametrize("count", [10, 210])  # a few sockets, and many
async def test_many_sockets_receive_every_packet_before_and_after_a_pause(count):
    sockets = _ManySockets(SocketMedia(), count)
    for word in (b"one", b"two", b"three"):
        assert await sockets.send_to_all(word) == [word] * count
        await asyncio.sleep(0)
    await asyncio.sleep(0.01)  # a pause in the traffic
    sockets.peer.send(b"alone", sockets.members[0].address)
    assert (await sockets.receiver.next())[0] == b"alone"
    sockets.close()
    assert sockets.receiver.heard.empty()


async def test_many_sockets_may_close_and_others_open():
    media = SocketMedia()
    sockets = _ManySockets(media)
    for word in (b"x", b"y"):
        assert await sockets.send_to_all(word) == [word] * 210
    sockets.close()
    after = _ManySockets(media)
    assert await after.send_to_all(b"z") == [b"z"] * 210
    assert sockets.receiver.heard.empty()
    after.close()


async def test_last_of_many_sockets_may_close_in_its_callback_while_others_open():
    media, opened = SocketMedia(), []

    def over(packet: memoryview, source: tuple[str, int]) -> None:
        sockets.close()
        last.close()
        opened.append(_ManySockets(media))

    sockets = _ManySockets(media)
    for word in (b"x", b"y"):
        await sockets.send_to_all(word)
    last = media.bind("127.0.0.1", 0, over)
    sockets.peer.send(b"over", last.address)
    async with asyncio.timeout(5):
        while not opened:
            await asyncio.sleep(0.001)
    for word in (b"y", b"z"):
        assert await opened[0].send_to_all(word) == [word] * 210
    opened[0].close()


async def test_closing_in_the_callback_stops_reading():
    receiver = _Receiver()

    def close(packet: memoryview, source: tuple[str, int]) -> None:
        receiver(packet, source)
        one.close()

    media = SocketMedia()
    one, two = media.bind("127.0.0.1", 0, close), media.bind("127.0.0.1", 0, _Receiver())
    two.send(b"a", one.address)
    two.send(b"b", one.address)
    assert (await receiver.next())[0] == b"a"
    assert receiver.heard.empty()
    two.close()


def two_ports(media: SocketMedia, on_rtp: _Receiver, on_rtcp: _Receiver) -> tuple[int, SocketPair]:
    """Bind a free pair of ports; returns the RTP port and the pair."""
    port = free_block(2)
    return port, media.bind_pair("127.0.0.1", port, on_rtp, on_rtcp)


async def test_each_port_of_a_pair_sends_and_receives_separately():
    media, rtp, rtcp, receiver = SocketMedia(), _Receiver(), _Receiver(), _Receiver()
    peer = media.bind("127.0.0.1", 0, receiver)
    port, pair = two_ports(media, rtp, rtcp)
    peer.send(b"audio", ("127.0.0.1", port))
    peer.send(b"report", ("127.0.0.1", port + 1))
    assert await rtp.next() == (b"audio", peer.address)
    assert await rtcp.next() == (b"report", peer.address)
    pair.send(b"audio", peer.address)
    assert await receiver.next() == (b"audio", ("127.0.0.1", port))
    pair.send_rtcp(b"report", peer.address)
    assert await receiver.next() == (b"report", ("127.0.0.1", port + 1))
    pair.close()
    peer.close()


@pytest.mark.parametrize("taken", [0, 1])
async def test_pair_with_a_port_in_use_binds_neither(taken):
    media = SocketMedia()
    port, pair = two_ports(media, _Receiver(), _Receiver())
    pair.close()
    other = media.bind("127.0.0.1", port + taken, _Receiver())
    with pytest.raises(OSError, match="in use"):
        media.bind_pair("127.0.0.1", port, _Receiver(), _Receiver())
    media.bind("127.0.0.1", port + 1 - taken, _Receiver()).close()
    other.close()


async def test_kept_pair_serves_only_its_next_user():
    media, before, after, receiver = SocketMedia(keep=1), _Receiver(), _Receiver(), _Receiver()
    peer = media.bind("127.0.0.1", 0, receiver)
    port, first = two_ports(media, before, before)
    first.close()
    for each in (port, port + 1):
        peer.send(b"stray", ("127.0.0.1", each))
    second = media.bind_pair("127.0.0.1", port, after, after)
    first.send(b"not mine any more", peer.address)
    first.send_rtcp(b"nor this", peer.address)
    first.close()
    for each in (port, port + 1):
        peer.send(b"meant", ("127.0.0.1", each))
    assert [(await after.next())[0] for _ in range(2)] == [b"meant", b"meant"]
    second.send(b"mine", peer.address)
    assert await receiver.next() == (b"mine", ("127.0.0.1", port))
    assert (before.heard.empty(), receiver.heard.empty()) == (True, True)
    second.close()
    peer.close()
    media.close()


async def test_former_user_of_a_rested_pair_can_neither_close_it_nor_send():
    media, before, after, receiver = SocketMedia(keep=1), _Receiver(), _Receiver(), _Receiver()
    peer = media.bind("127.0.0.1", 0, receiver)
    port, first = two_ports(media, before, before)
    first.close()
    second = media.bind_pair("127.0.0.1", port, after, after, rested=True)
    first.close()
    first.send(b"not mine any more", peer.address)
    peer.send(b"meant", ("127.0.0.1", port))
    assert (await after.next())[0] == b"meant"
    second.send(b"mine", peer.address)
    assert await receiver.next() == (b"mine", ("127.0.0.1", port))
    with pytest.raises(OSError, match="in use"):
        SocketMedia().bind_pair("127.0.0.1", port, before, before)
    assert (before.heard.empty(), receiver.heard.empty()) == (True, True)
    second.close()
    peer.close()
    media.close()


async def test_packets_for_the_last_user_are_discarded_even_in_the_same_loop_iteration():
    media, after, taken = SocketMedia(keep=1), _Receiver(), []

    def bind_again(packet: memoryview, source: tuple[str, int]) -> None:
        second.close()
        taken.append(media.bind_pair("127.0.0.1", port, after, after))

    peer = media.bind("127.0.0.1", 0, _Receiver())
    first = media.bind("127.0.0.1", 0, bind_again)
    port, second = two_ports(media, after, after)
    peer.send(b"take over", first.address)
    peer.send(b"stray", ("127.0.0.1", port))
    async with asyncio.timeout(5):
        while not taken:
            await asyncio.sleep(0.001)
    peer.send(b"meant", ("127.0.0.1", port))
    assert (await after.next())[0] == b"meant"
    for endpoint in (peer, first, taken[0]):
        endpoint.close()
    media.close()


async def test_rested_pair_is_reused_by_the_next_user():
    media, before, after = SocketMedia(keep=1), _Receiver(), _Receiver()
    peer = media.bind("127.0.0.1", 0, _Receiver())
    port, first = two_ports(media, before, before)
    first.close()
    peer.send(b"stray", ("127.0.0.1", port))
    await asyncio.sleep(0.01)
    second = media.bind_pair("127.0.0.1", port, after, after, rested=True)
    peer.send(b"meant", ("127.0.0.1", port))
    assert (await after.next())[0] == b"meant"
    assert before.heard.empty()
    second.close()
    peer.close()
    media.close()


async def test_kept_pairs_are_closed_with_the_media():
    media = SocketMedia(keep=1)
    port, one = two_ports(media, _Receiver(), _Receiver())
    one.close()
    with pytest.raises(OSError, match="in use"):
        SocketMedia().bind("127.0.0.1", port + 1, _Receiver())
    media.close()
    SocketMedia().bind_pair("127.0.0.1", port, _Receiver(), _Receiver()).close()


async def test_ipv6_wildcard_socket_leaves_the_ipv4_port_free() -> None:
    media = SocketMedia()
    four = media.bind("0.0.0.0", 0, lambda packet, source: None)
    six = media.bind("::", four.address[1], lambda packet, source: None)
    assert four.address[1] == six.address[1]
    six.close()
    four.close()


async def test_sockets_closed_in_the_same_loop_iteration_receive_nothing() -> None:
    media = SocketMedia()
    receivers = [_Receiver() for _ in range(8)]
    peer = media.bind("127.0.0.1", 0, _Receiver())
    open_ones = [media.bind("127.0.0.1", 0, receiver) for receiver in receivers]

    def silence(packet: memoryview, source: tuple[str, int]) -> None:
        for endpoint in open_ones[:4]:
            endpoint.close()

    first = media.bind("127.0.0.1", 0, silence)
    peer.send(b"close them", first.address)
    for endpoint in open_ones:
        peer.send(b"x", endpoint.address)
    assert [(await receiver.next())[0] for receiver in receivers[4:]] == [b"x"] * 4
    assert all(receiver.heard.empty() for receiver in receivers[:4])
    for endpoint in (*open_ones, first, peer):
        endpoint.close()


async def test_without_epoll_each_socket_is_registered_with_the_loop(monkeypatch) -> None:
    monkeypatch.delattr("select.epoll")
    media, receiver = SocketMedia(keep=1), _Receiver()
    two = media.bind("127.0.0.1", 0, _Receiver())
    port, one = two_ports(media, receiver, receiver)
    two.send(b"a", ("127.0.0.1", port))
    assert (await receiver.next())[0] == b"a"
    one.close()
    again = media.bind_pair("127.0.0.1", port, receiver, receiver)
    two.send(b"b", ("127.0.0.1", port))
    assert (await receiver.next())[0] == b"b"
    again.close()
    two.close()
    media.close()
