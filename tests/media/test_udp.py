"""UDP media sockets: draining, fairness between sockets, and closing from within a callback."""

import asyncio

import pytest

from proxy.media.udp import SocketMedia, SocketPair
from tests.sipp.ports import free_block

pytestmark = pytest.mark.network


class _Ear:
    def __init__(self) -> None:
        self.heard: asyncio.Queue[tuple[bytes, tuple[str, int]]] = asyncio.Queue()

    def __call__(self, packet: memoryview, source: tuple[str, int]) -> None:
        self.heard.put_nowait((bytes(packet), source))

    async def next(self) -> tuple[bytes, tuple[str, int]]:
        async with asyncio.timeout(5):
            return await self.heard.get()


async def test_packets_travel_with_their_source_address():
    media, ear = SocketMedia(), _Ear()
    one, two = media.bind("127.0.0.1", 0, ear), media.bind("127.0.0.1", 0, ear)
    for n in range(100):  # more than are read in one loop turn
        one.send(bytes([n]), two.address)
    heard = [await ear.next() for _ in range(100)]
    assert heard == [(bytes([n]), one.address) for n in range(100)]
    one.close()
    two.close()


async def test_a_taken_port_is_an_os_error_and_a_closed_one_is_free_again():
    media = SocketMedia()
    one = media.bind("127.0.0.1", 0, _Ear())
    with pytest.raises(OSError, match="in use"):
        media.bind("127.0.0.1", one.address[1], _Ear())
    one.close()
    one.close()
    media.bind("127.0.0.1", one.address[1], _Ear()).close()


async def test_what_the_kernel_refuses_is_lost():
    ear = _Ear()
    one = SocketMedia().bind("127.0.0.1", 0, ear)
    one.send(b"x", ("127.0.0.1", 0))
    one.send(b"x", ("2001:db8::1", 9))
    one.send(b"x", ("127.0.0.1", 70000))
    one.send(bytes(70000), one.address)
    one.send(b"next", one.address)
    assert (await ear.next())[0] == b"next"
    one.close()
    one.send(b"x", one.address)


async def test_a_packet_too_long_for_telephony_is_dropped():
    ear = _Ear()
    one = SocketMedia().bind("127.0.0.1", 0, ear)
    one.send(bytes(2048), one.address)
    one.send(b"next", one.address)
    assert (await ear.next())[0] == b"next"
    one.close()


async def test_a_packet_is_changed_and_sent_on_where_it_lies():
    media, ear = SocketMedia(), _Ear()
    end = media.bind("127.0.0.1", 0, ear)

    def relay(packet: memoryview, source: tuple[str, int]) -> None:
        packet[0] += 1
        middle.send(packet, end.address)

    middle = media.bind("127.0.0.1", 0, relay)
    for n in range(3):
        end.send(bytes([n]) * (n + 1), middle.address)
    heard = [await ear.next() for _ in range(3)]
    assert heard == [(b, middle.address) for b in (b"\x01", b"\x02\x01", b"\x03\x02\x02")]
    middle.close()
    end.close()


async def test_a_flood_at_one_port_delays_no_other():
    media, order = SocketMedia(), []
    flooded = media.bind("127.0.0.1", 0, lambda packet, source: order.append("flood"))
    ear = _Ear()
    calm = media.bind("127.0.0.1", 0, lambda packet, source: (order.append("calm"), ear(packet, source)))
    peer = media.bind("127.0.0.1", 0, _Ear())
    for _ in range(100):
        peer.send(b"x", flooded.address)
    peer.send(b"y", calm.address)
    await ear.next()
    assert order.index("calm") <= 1
    for endpoint in (flooded, calm, peer):
        endpoint.close()


async def test_the_loop_has_its_turn_before_all_of_many_sockets_are_read():
    media, order, ear = SocketMedia(), [], _Ear()
    peer = media.bind("127.0.0.1", 0, ear)

    def heard(packet: memoryview, source: tuple[str, int]) -> None:
        if not order:
            asyncio.get_running_loop().call_soon(order.append, "signalling")
        order.append("packet")
        peer.send(packet, peer.address)

    many = [media.bind("127.0.0.1", 0, heard) for _ in range(100)]
    for endpoint in many:
        peer.send(b"x", endpoint.address)
    for _ in many:
        await ear.next()
    assert 0 < order.index("signalling") < 100
    for endpoint in (*many, peer):
        endpoint.close()


class _Crowd:
    """Many sockets that share a receiver; `say` sends one packet to each."""

    def __init__(self, media: SocketMedia, count: int = 210) -> None:
        self.ear = _Ear()
        self.peer = media.bind("127.0.0.1", 0, _Ear())
        self.members = [media.bind("127.0.0.1", 0, self.ear) for _ in range(count)]

    async def say(self, text: bytes) -> list[bytes]:
        for member in self.members:
            self.peer.send(text, member.address)
        return [(await self.ear.next())[0] for _ in self.members]

    def close(self) -> None:
        for member in (*self.members, self.peer):
            member.close()


@pytest.mark.parametrize("count", [10, 210])  # a few sockets, and many
async def test_a_crowd_is_heard_whole_again_and_again_and_so_is_who_speaks_after_it(count):
    crowd = _Crowd(SocketMedia(), count)
    for word in (b"one", b"two", b"three"):
        assert await crowd.say(word) == [word] * count
        await asyncio.sleep(0)
    await asyncio.sleep(0.01)  # a pause in the traffic
    crowd.peer.send(b"alone", crowd.members[0].address)
    assert (await crowd.ear.next())[0] == b"alone"
    crowd.close()
    assert crowd.ear.heard.empty()


async def test_all_may_close_while_a_crowd_is_waited_for_and_others_come():
    media = SocketMedia()
    crowd = _Crowd(media)
    for word in (b"x", b"y"):
        assert await crowd.say(word) == [word] * 210
    crowd.close()
    after = _Crowd(media)
    assert await after.say(b"z") == [b"z"] * 210
    assert crowd.ear.heard.empty()
    after.close()


async def test_the_last_of_a_crowd_may_close_from_within_a_packet_and_another_open():
    media, crowds = SocketMedia(), []

    def over(packet: memoryview, source: tuple[str, int]) -> None:
        crowd.close()
        last.close()
        crowds.append(_Crowd(media))

    crowd = _Crowd(media)
    for word in (b"x", b"y"):
        await crowd.say(word)
    last = media.bind("127.0.0.1", 0, over)
    crowd.peer.send(b"over", last.address)
    async with asyncio.timeout(5):
        while not crowds:
            await asyncio.sleep(0.001)
    for word in (b"y", b"z"):
        assert await crowds[0].say(word) == [word] * 210
    crowds[0].close()


async def test_closing_from_within_a_packet_stops_the_drain():
    ear = _Ear()

    def close(packet: memoryview, source: tuple[str, int]) -> None:
        ear(packet, source)
        one.close()

    media = SocketMedia()
    one, two = media.bind("127.0.0.1", 0, close), media.bind("127.0.0.1", 0, _Ear())
    two.send(b"a", one.address)
    two.send(b"b", one.address)
    assert (await ear.next())[0] == b"a"
    assert ear.heard.empty()
    two.close()


def two_ports(media: SocketMedia, on_rtp: _Ear, on_rtcp: _Ear) -> tuple[int, SocketPair]:
    """Bind a free pair of ports; returns the RTP port and the pair."""
    port = free_block(2)
    return port, media.bind_pair("127.0.0.1", port, on_rtp, on_rtcp)


async def test_each_port_of_a_pair_hears_and_sends_for_itself():
    media, rtp, rtcp, ear = SocketMedia(), _Ear(), _Ear(), _Ear()
    peer = media.bind("127.0.0.1", 0, ear)
    port, pair = two_ports(media, rtp, rtcp)
    peer.send(b"audio", ("127.0.0.1", port))
    peer.send(b"report", ("127.0.0.1", port + 1))
    assert await rtp.next() == (b"audio", peer.address)
    assert await rtcp.next() == (b"report", peer.address)
    pair.send(b"audio", peer.address)
    assert await ear.next() == (b"audio", ("127.0.0.1", port))
    pair.send_rtcp(b"report", peer.address)
    assert await ear.next() == (b"report", ("127.0.0.1", port + 1))
    pair.close()
    peer.close()


@pytest.mark.parametrize("taken", [0, 1])
async def test_a_pair_of_which_a_port_is_taken_takes_none(taken):
    media = SocketMedia()
    port, pair = two_ports(media, _Ear(), _Ear())
    pair.close()
    other = media.bind("127.0.0.1", port + taken, _Ear())
    with pytest.raises(OSError, match="in use"):
        media.bind_pair("127.0.0.1", port, _Ear(), _Ear())
    media.bind("127.0.0.1", port + 1 - taken, _Ear()).close()
    other.close()


async def test_a_pair_that_is_kept_serves_the_next_user_and_never_two():
    media, before, after, ear = SocketMedia(keep=1), _Ear(), _Ear(), _Ear()
    peer = media.bind("127.0.0.1", 0, ear)
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
    assert await ear.next() == (b"mine", ("127.0.0.1", port))
    assert (before.heard.empty(), ear.heard.empty()) == (True, True)
    second.close()
    peer.close()
    media.close()


async def test_who_had_a_pair_that_has_rested_can_neither_close_it_nor_speak_from_it():
    media, before, after, ear = SocketMedia(keep=1), _Ear(), _Ear(), _Ear()
    peer = media.bind("127.0.0.1", 0, ear)
    port, first = two_ports(media, before, before)
    first.close()
    second = media.bind_pair("127.0.0.1", port, after, after, rested=True)
    first.close()
    first.send(b"not mine any more", peer.address)
    peer.send(b"meant", ("127.0.0.1", port))
    assert (await after.next())[0] == b"meant"
    second.send(b"mine", peer.address)
    assert await ear.next() == (b"mine", ("127.0.0.1", port))
    with pytest.raises(OSError, match="in use"):
        SocketMedia().bind_pair("127.0.0.1", port, before, before)
    assert (before.heard.empty(), ear.heard.empty()) == (True, True)
    second.close()
    peer.close()
    media.close()


async def test_what_came_for_the_last_user_is_gone_even_if_the_next_comes_in_the_same_turn():
    media, after, taken = SocketMedia(keep=1), _Ear(), []

    def take_over(packet: memoryview, source: tuple[str, int]) -> None:
        second.close()
        taken.append(media.bind_pair("127.0.0.1", port, after, after))

    peer = media.bind("127.0.0.1", 0, _Ear())
    first = media.bind("127.0.0.1", 0, take_over)
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


async def test_a_pair_that_has_rested_is_the_next_users_as_it_stands():
    media, before, after = SocketMedia(keep=1), _Ear(), _Ear()
    peer = media.bind("127.0.0.1", 0, _Ear())
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


async def test_what_is_kept_is_closed_in_the_end():
    media = SocketMedia(keep=1)
    port, one = two_ports(media, _Ear(), _Ear())
    one.close()
    with pytest.raises(OSError, match="in use"):
        SocketMedia().bind("127.0.0.1", port + 1, _Ear())
    media.close()
    SocketMedia().bind_pair("127.0.0.1", port, _Ear(), _Ear()).close()


async def test_a_socket_on_all_of_ipv6_leaves_the_port_of_ipv4_to_another() -> None:
    media = SocketMedia()
    four = media.bind("0.0.0.0", 0, lambda packet, source: None)
    six = media.bind("::", four.address[1], lambda packet, source: None)
    assert four.address[1] == six.address[1]
    six.close()
    four.close()


async def test_every_socket_of_many_is_heard_and_one_closed_in_the_same_turn_is_not() -> None:
    media = SocketMedia()
    ears = [_Ear() for _ in range(8)]
    peer = media.bind("127.0.0.1", 0, _Ear())
    open_ones = [media.bind("127.0.0.1", 0, ear) for ear in ears]

    def silence(packet: memoryview, source: tuple[str, int]) -> None:
        for endpoint in open_ones[:4]:
            endpoint.close()

    first = media.bind("127.0.0.1", 0, silence)
    peer.send(b"close them", first.address)
    for endpoint in open_ones:
        peer.send(b"x", endpoint.address)
    assert [(await ear.next())[0] for ear in ears[4:]] == [b"x"] * 4
    assert all(ear.heard.empty() for ear in ears[:4])
    for endpoint in (*open_ones, first, peer):
        endpoint.close()


async def test_where_there_is_no_epoll_each_socket_is_shown_to_the_loop(monkeypatch) -> None:
    monkeypatch.delattr("select.epoll")
    media, ear = SocketMedia(keep=1), _Ear()
    two = media.bind("127.0.0.1", 0, _Ear())
    port, one = two_ports(media, ear, ear)
    two.send(b"a", ("127.0.0.1", port))
    assert (await ear.next())[0] == b"a"
    one.close()
    again = media.bind_pair("127.0.0.1", port, ear, ear)
    two.send(b"b", ("127.0.0.1", port))
    assert (await ear.next())[0] == b"b"
    again.close()
    two.close()
    media.close()
