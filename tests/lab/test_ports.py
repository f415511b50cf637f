"""Reserving a pair of adjacent ports for RTP and RTCP."""

import pytest

from proxy.lab.ports import any_pair
from proxy.media.udp import SocketMedia
from tests.kit.media import MemoryMedia


def nobody(packet: memoryview, source: tuple[str, int]) -> None: ...


@pytest.mark.network
async def test_any_pair_binds_the_rtcp_port_too():
    media = SocketMedia()
    (host, port), pair = any_pair(media, "127.0.0.1", nobody)
    assert port % 2 == 0
    for each in (port, port + 1):
        with pytest.raises(OSError, match="in use"):
            media.bind(host, each, nobody)
    pair.close()
    for each in (port, port + 1):
        media.bind(host, each, nobody).close()


def test_a_pair_with_one_port_in_use_is_skipped():
    network = MemoryMedia()
    (host, port), _ = any_pair(network, "192.0.2.1", nobody)
    network.bind(host, port + 3, nobody)
    assert any_pair(network, host, nobody)[0] == (host, port + 4)


def test_any_pair_raises_if_no_two_adjacent_ports_are_free():
    network = MemoryMedia()
    for port in range(40001, 40401, 2):
        network.bind("192.0.2.1", port, nobody)
    with pytest.raises(OSError, match="no two free ports"):
        any_pair(network, "192.0.2.1", nobody)
