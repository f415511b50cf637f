"""SDP that names one of our own ports: its packets would loop, or reach another call."""

import pytest

from proxy.media.interface import MediaRefused
from proxy.media.own_address import is_ours
from proxy.media.ports import PortPool
from tests.media.peer import PUBLIC

HERE, THERE = ("192.168.1.5", PUBLIC), "198.51.100.7"


@pytest.mark.parametrize(
    ("named", "homes", "ours"),
    [
        ((PUBLIC, 20000), [HERE], True),
        (("192.168.1.5", 20099), [HERE], True),
        ((PUBLIC, 5060), [HERE], False),
        ((PUBLIC, 20100), [HERE], False),
        ((THERE, 20000), [HERE], False),
        (("127.0.0.1", 20000), [HERE], False),
        (("127.8.8.8", 20000), [("0.0.0.0", PUBLIC)], True),
        (("::1", 20000), [HERE, ("::", "2001:db8::10")], True),
        (None, [HERE], False),
    ],
)
def test_own_address_is_recognised_by_host_and_port(named, homes, ours):
    assert is_ours(named, homes, PortPool(20000, 20099)) is ours


@pytest.mark.parametrize("host", [PUBLIC, "127.0.0.1"])
async def test_offer_or_answer_naming_one_of_our_ports_is_refused(rig, host):
    caller = rig.peer("caller")
    with pytest.raises(MediaRefused, match="one of ours"):
        rig.session.accept("caller", caller.sdp(host=host, port=20002))
    rig.session.offer("agent")
    with pytest.raises(MediaRefused, match="one of ours"):
        rig.session.answered("agent", caller.sdp("0 101", host=host, port=20004))
    rig.session.accept("caller", caller.sdp(host=host, port=30000))


async def test_reoffer_naming_one_of_our_ports_leaves_the_leg_unchanged(rig):
    caller, agent = rig.incoming("caller"), rig.outgoing("agent")
    rig.session.join("caller", "agent")
    with pytest.raises(MediaRefused):
        rig.session.accept("caller", caller.sdp(host=PUBLIC, port=agent.remote[1]))
    await agent.send_speech(3)
    assert len(caller.heard) == 3
