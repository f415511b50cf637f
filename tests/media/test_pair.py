"""The two ports of a stream."""

import pytest

from proxy.media.pair import Pair
from proxy.media.ports import NoPortFree, PortPool
from tests.media.peer import PUBLIC


def nobody(packet, source):
    raise AssertionError(packet)


async def test_an_even_port_and_the_next_are_bound_and_given_back_rfc3550_11(rig):
    ports = PortPool(30000, 30003)
    pair = Pair(rig.network, ports, "0.0.0.0", nobody, nobody)
    assert {pair.rtp.address, pair.rtcp.address} == {(PUBLIC, 30000), (PUBLIC, 30001)}
    pair.close()
    assert ports.lent == 0
    assert (PUBLIC, 30001) not in rig.network.open


@pytest.mark.parametrize("taken", [30000, 30001])
async def test_a_pair_of_which_another_has_a_port_is_passed_over(rig, taken):
    ports, other = PortPool(30000, 30003), rig.network.bind(PUBLIC, taken, nobody)
    pair = Pair(rig.network, ports, "0.0.0.0", nobody, nobody)
    assert pair.port == 30002
    with pytest.raises(NoPortFree):
        Pair(rig.network, ports, "0.0.0.0", nobody, nobody)
    pair.close()
    other.close()
