"""Binding an RTP port and the RTCP port above it (RFC 3550 §11)."""

import pytest

from proxy.media.port_pair import bind_next
from proxy.media.ports import NoPortFree, PortPool
from tests.media.peer import PUBLIC


def reject_packet(packet, source):
    raise AssertionError(packet)


async def test_even_port_and_the_next_are_bound_rfc3550_11(rig):
    ports = PortPool(30000, 30003)
    port, pair = bind_next(rig.network, ports, "0.0.0.0", reject_packet, reject_packet)
    assert (port, ports.lent) == (30000, 1)
    assert {(PUBLIC, 30000), (PUBLIC, 30001)} <= rig.network.open.keys()
    pair.close()
    ports.give_back(port)
    assert rig.network.open == {}


@pytest.mark.parametrize("taken", [30000, 30001])
async def test_pair_with_a_port_in_use_elsewhere_is_skipped(rig, taken):
    ports, other = PortPool(30000, 30003), rig.network.bind(PUBLIC, taken, reject_packet)
    port, pair = bind_next(rig.network, ports, "0.0.0.0", reject_packet, reject_packet)
    assert port == 30002
    with pytest.raises(NoPortFree, match="1 pairs in use, 1 taken by other programs"):
        bind_next(rig.network, ports, "0.0.0.0", reject_packet, reject_packet)
    pair.close()
    other.close()


async def test_each_pair_is_tried_once_if_all_are_in_use_elsewhere(rig):
    ports = PortPool(30000, 30003)
    others = [rig.network.bind(PUBLIC, taken, reject_packet) for taken in (30000, 30003)]
    with pytest.raises(NoPortFree, match="0 pairs in use, 2 taken by other programs"):
        bind_next(rig.network, ports, "0.0.0.0", reject_packet, reject_packet)
    assert rig.network.open.keys() == {other.address for other in others}
    for other in others:
        other.close()


async def test_pairs_in_use_elsewhere_do_not_block_free_ones(rig):
    """A PBX on this host has an overlapping range: each of its pairs is tried once, not by every call."""
    now = 10.0
    ports = PortPool(30000, 30399, clock=lambda: now)
    others = [rig.network.bind(PUBLIC, taken, reject_packet) for taken in range(30000, 30200, 2)]
    with pytest.raises(NoPortFree, match="0 pairs in use, 64 taken by other programs"):
        bind_next(rig.network, ports, "0.0.0.0", reject_packet, reject_packet)
    for _ in range(3):
        now += 10.0
        port, pair = bind_next(rig.network, ports, "0.0.0.0", reject_packet, reject_packet)
        assert port == 30200
        pair.close()
        ports.give_back(port)
    for other in others:
        other.close()
