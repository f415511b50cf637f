"""Reserving a pair of adjacent ports for RTP and RTCP."""

import pytest

from proxy.lab.ports import any_pair
from proxy.media.udp import SocketMedia
from tests.kit.media import MemoryMedia


def nobody(packet: memoryview, source: tuple[str, int]) -> None: ...


@pytest.mark.network
async def test_the_port_of_rtcp_is_held_too():
    media = SocketMedia()
    (host, port), pair = any_pair(media, "127.0.0.1", nobody)
    assert port % 2 == 0
    for each in (port, port + 1):
        with pytest.raises(OSError, match="in use"):
            media.bind(host, each, nobody)
    pair.close()
    for each in (port, port + 1):
        media.bind(host, each, nobody).close()


def test_a_pair_of_which_another_has_a_port_is_passed_by():
    network = MemoryMedia()
    (host, port), _ = any_pair(network, "192.0.2.1", nobody)
    network.bind(host, port + 3, nobody)
    assert any_pair(network, host, nobody)[0] == (host, port + 4)


def test_a_machine_without_two_ports_in_a_row_is_an_error():
    network = MemoryMedia()
    for port in range(40001, 40401, 2):
        network.bind("192.0.2.1", port, nobody)
    with pytest.raises(OSError, match="no two free ports"):
        any_pair(network, "192.0.2.1", nobody)
