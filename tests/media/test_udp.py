import asyncio

import pytest

from proxy.media.udp import SocketMedia

pytestmark = pytest.mark.network


class _Ear:
    def __init__(self) -> None:
        self.heard: asyncio.Queue[tuple[bytes, tuple[str, int]]] = asyncio.Queue()

    def __call__(self, packet: bytes, source: tuple[str, int]) -> None:
        self.heard.put_nowait((packet, source))

    async def next(self) -> tuple[bytes, tuple[str, int]]:
        async with asyncio.timeout(5):
            return await self.heard.get()


async def test_packets_travel_with_their_source_address():
    media, ear = SocketMedia(), _Ear()
    one, two = media.bind("127.0.0.1", 0, ear), media.bind("127.0.0.1", 0, ear)
    for n in range(100):  # more than one burst
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


async def test_what_the_kernel_refuses_is_counted_and_lost():
    one = SocketMedia().bind("127.0.0.1", 0, _Ear())
    one.send(b"x", ("127.0.0.1", 0))
    one.send(b"x", ("2001:db8::1", 9))
    one.send(b"x", ("127.0.0.1", 70000))
    one.send(bytes(70000), one.address)
    one.close()
    one.send(b"x", one.address)
    assert one.unsent == 5


async def test_a_packet_too_long_for_telephony_is_dropped():
    ear = _Ear()
    one = SocketMedia().bind("127.0.0.1", 0, ear)
    one.send(bytes(2048), one.address)
    one.send(b"next", one.address)
    assert (await ear.next())[0] == b"next"
    one.close()


async def test_closing_from_within_a_packet_stops_the_drain():
    ear = _Ear()

    def close(packet, source):
        ear(packet, source)
        one.close()

    media = SocketMedia()
    one, two = media.bind("127.0.0.1", 0, close), media.bind("127.0.0.1", 0, _Ear())
    two.send(b"a", one.address)
    two.send(b"b", one.address)
    assert (await ear.next())[0] == b"a"
    assert ear.heard.empty()
    two.close()


async def test_a_socket_that_is_kept_serves_the_next_user_and_never_two():
    media, before, after = SocketMedia(keep=1), _Ear(), _Ear()
    peer = media.bind("127.0.0.1", 0, _Ear())
    first = media.bind("127.0.0.1", 0, before)
    first.close()
    peer.send(b"stray", first.address)
    second = media.bind("127.0.0.1", first.address[1], after)
    first.send(b"not mine any more", peer.address)
    first.close()
    peer.send(b"meant", second.address)
    assert (await after.next())[0] == b"meant"
    assert (before.heard.empty(), first.unsent) == (True, 1)
    second.close()
    peer.close()
    media.close()


async def test_what_is_kept_is_closed_in_the_end():
    media = SocketMedia(keep=1)
    one = media.bind("127.0.0.1", 0, _Ear())
    one.close()
    with pytest.raises(OSError, match="in use"):
        SocketMedia().bind("127.0.0.1", one.address[1], _Ear())
    media.close()
    SocketMedia().bind("127.0.0.1", one.address[1], _Ear()).close()


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

    def silence(packet: bytes, source: tuple[str, int]) -> None:
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
    one, two = media.bind("127.0.0.1", 0, ear), media.bind("127.0.0.1", 0, _Ear())
    two.send(b"a", one.address)
    assert (await ear.next())[0] == b"a"
    one.close()
    again = media.bind("127.0.0.1", one.address[1], ear)
    two.send(b"b", one.address)
    assert (await ear.next())[0] == b"b"
    again.close()
    two.close()
    media.close()
