"""Binding an RTP port and the RTCP port above it (RFC 3550 §11)."""

import pytest

from proxy.media.port_pair import bind_next
from proxy.media.ports import NoPortFree, PortPool
from tests.media.peer import PUBLIC


def nobody(packet, source):
    raise AssertionError(packet)


async def test_an_even_port_and_the_next_are_bound_rfc3550_11(rig):
    ports = PortPool(30000, 30003)
    port, pair = bind_next(rig.network, ports, "0.0.0.0", nobody, nobody)
    assert (port, ports.lent) == (30000, 1)
    assert {(PUBLIC, 30000), (PUBLIC, 30001)} <= rig.network.open.keys()
    pair.close()
    ports.give_back(port)
    assert rig.network.open == {}


@pytest.mark.parametrize("taken", [30000, 30001])
async def test_a_pair_of_which_another_has_a_port_is_passed_over(rig, taken):
    ports, other = PortPool(30000, 30003), rig.network.bind(PUBLIC, taken, nobody)
    port, pair = bind_next(rig.network, ports, "0.0.0.0", nobody, nobody)
    assert port == 30002
    with pytest.raises(NoPortFree, match="1 pairs in use, 1 taken by other programs"):
        bind_next(rig.network, ports, "0.0.0.0", nobody, nobody)
    pair.close()
    other.close()


async def test_where_other_programs_have_every_pair_each_is_tried_once(rig):
    ports = PortPool(30000, 30003)
    others = [rig.network.bind(PUBLIC, taken, nobody) for taken in (30000, 30003)]
    with pytest.raises(NoPortFree, match="0 pairs in use, 2 taken by other programs"):
        bind_next(rig.network, ports, "0.0.0.0", nobody, nobody)
    assert rig.network.open.keys() == {other.address for other in others}
    for other in others:
        other.close()


async def test_pairs_that_others_have_keep_no_call_from_those_that_are_free(rig):
    """A PBX on this host has an overlapping range: each of its pairs is tried once, not by every call."""
    now = 10.0
    ports = PortPool(30000, 30399, clock=lambda: now)
    others = [rig.network.bind(PUBLIC, taken, nobody) for taken in range(30000, 30200, 2)]
    with pytest.raises(NoPortFree, match="0 pairs in use, 64 taken by other programs"):
        bind_next(rig.network, ports, "0.0.0.0", nobody, nobody)
    for _ in range(3):
        now += 10.0
        port, pair = bind_next(rig.network, ports, "0.0.0.0", nobody, nobody)
        assert port == 30200
        pair.close()
        ports.give_back(port)
    for other in others:
        other.close()
