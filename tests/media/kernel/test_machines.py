"""Kernel forwarding on hosts with firewalls, NAT, policy routing or bridges."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from proxy.media.tones import beep
from tests.media.kernel import rig as made
from tests.media.kernel.able import needs_kernel
from tests.media.kernel.namespaces import EDGE, PEERS, Namespaces
from tests.media.kernel.rig import ENOUGH, Rig, is_one_stream

pytestmark = [pytest.mark.network, needs_kernel]

EVENT = b"\x05\x0a\x00\xa0"
INPUT = "type filter hook input priority 0"


@pytest.fixture
def namespaces() -> Iterator[Namespaces]:
    with Namespaces("sdkm") as namespaces:
        yield namespaces


@pytest.fixture
async def rig(namespaces) -> AsyncIterator[Rig]:
    with made.rig(namespaces) as each:
        yield each


async def _two_reports(rig: Rig) -> None:
    """Report twice on each leg, as happens within ten seconds of a call."""
    for leg in ("caller", "phone"):
        rig.stream(leg).report()
        rig.stream(leg).report()


async def test_every_second_report_a_packet_goes_through_userspace(rig):
    rig.agree()
    at_caller, at_phone = await rig.talk()
    for _ in range(8):
        before = rig.forwarded("caller"), rig.forwarded("phone")
        rig.stream("caller").report()
        more = await rig.talk(2)
        assert (rig.forwarded("caller"), rig.forwarded("phone")) == (before[0] + 2, before[1] + 2)
        at_caller, at_phone = at_caller + more[0], at_phone + more[1]
        rig.stream("caller").report()
        more = await rig.talk(3)
        assert (rig.forwarded("caller"), rig.forwarded("phone")) == (before[0] + 4, before[1] + 5)
        at_caller, at_phone = at_caller + more[0], at_phone + more[1]
    assert is_one_stream(at_caller)
    assert is_one_stream(at_phone)
    assert rig.in_kernel() == (True, True)
    assert rig.session.counts("caller").lost == 0


async def test_firewall_rule_against_a_peer_is_obeyed_within_two_reports(rig):
    rig.agree()
    await rig.talk()
    rig.namespaces.nft("edge", "add table ip t; add chain ip t in { type filter hook input priority 0; }")
    rig.namespaces.nft("edge", f"add rule ip t in ip saddr {rig.hosts['caller']} drop")
    await _two_reports(rig)
    before = rig.forwarded("caller")
    rig.caller.send_speech(20)
    rig.phone.send_speech(2)
    await rig.caller.receive(2)
    assert rig.forwarded("caller") == before
    assert rig.session.counts("caller").packets_in == ENOUGH


async def test_stateful_firewall_keeps_the_connection_of_a_forwarded_call(rig):
    """Conntrack entries expire after 1 s here, not 30; a sleep of 0.4 s stands for ten seconds."""
    for name in ("udp_timeout", "udp_timeout_stream"):
        rig.namespaces.set("edge", f"net.netfilter.nf_conntrack_{name}", "1")
    rig.namespaces.nft("edge", f"add table ip t; add chain ip t in {{ {INPUT}; policy drop; }}")
    rig.namespaces.nft("edge", "add rule ip t in ct state established accept")
    rig.agree()
    await asyncio.gather(rig.session.play("caller", beep()), rig.session.play("phone", beep()))
    rig.phone.received()
    rig.caller.received()
    _, heard = await rig.talk(60)
    for _ in range(6):
        _, more = await rig.talk()
        heard += more
        assert rig.in_kernel() == (True, True)
        await _two_reports(rig)
        rig.caller.send_speech(1)
        rig.phone.send_speech(1)
        heard += await rig.phone.receive(1)
        await rig.caller.receive(1)
        await asyncio.sleep(0.4)
    rig.caller.send_speech(1, pt=101, payload=EVENT)
    heard += await rig.phone.receive(1)
    assert heard[-1].pt == 101
    assert is_one_stream(heard)


async def test_leg_behind_source_nat_is_not_forwarded_in_the_kernel(rig):
    """Packets forwarded in the kernel would bypass source NAT on this machine."""
    rig.namespaces.nft(
        "edge", "add table ip t; add chain ip t out { type nat hook postrouting priority 100; }"
    )
    rig.agree()
    rig.namespaces.nft(
        "edge", f"add rule ip t out udp sport {rig.port('phone')} snat to {EDGE['phone']}:30000"
    )
    rig.phone.remote = EDGE["phone"], 30000
    at_caller, at_phone = await rig.talk(120)
    assert {each.source for each in at_phone} == {rig.phone.remote}
    assert (rig.forwarded("caller"), rig.forwarded("phone")) == (0, 0)
    assert is_one_stream(at_caller)
    assert is_one_stream(at_phone)


async def test_obstacle_keeps_every_stream_in_userspace_until_it_is_gone(rig):
    rig.agree()
    _, heard = await rig.talk()
    rig.namespaces.ip("edge", "rule", "add", "fwmark", "5", "lookup", "100")
    async with asyncio.timeout(5):
        while rig.forwarder.obstacle is None:
            await asyncio.sleep(0.01)
    before = rig.forwarded("caller")
    _, more = await rig.talk(60)
    assert rig.forwarded("caller") == before
    assert rig.in_kernel() == (False, False)
    rig.namespaces.ip("edge", "rule", "del", "fwmark", "5", "lookup", "100")
    async with asyncio.timeout(5):
        while rig.forwarder.obstacle is not None:
            await asyncio.sleep(0.01)
    _, most = await rig.talk(60)
    assert rig.in_kernel() == (True, True)
    assert is_one_stream([*heard, *more, *most])


async def test_per_address_routing_tables_keep_streams_in_userspace_without_loss():
    """The table of that address has only its own gateway; the phone is behind another on the same link."""
    with Namespaces("sdkt") as namespaces:
        namespaces.ip("phone", "link", "set", "lo", "up")
        namespaces.ip("phone", "addr", "add", "203.0.113.5/32", "dev", "lo")
        namespaces.ip("edge", "route", "add", "203.0.113.5", "via", PEERS["phone"])
        namespaces.ip("edge", "route", "add", "default", "via", "198.51.100.66", "table", "100")
        namespaces.ip("edge", "rule", "add", "from", EDGE["phone"], "lookup", "100")
        with made.rig(namespaces) as rig:
            with namespaces.inside("phone"):
                rig.phone = made.SocketPeer("203.0.113.5", 0xBBBB)
            rig.stack.callback(rig.phone.close)
            rig.agree()
            at_caller, at_phone = await rig.talk(20)
            assert is_one_stream(at_caller)
            assert is_one_stream(at_phone)
            assert rig.in_kernel() == (False, False)


async def test_spoofed_source_on_another_interface_is_left_to_rp_filter():
    with Namespaces("sdkx") as namespaces, made.rig(namespaces) as rig:
        rig.agree()
        await rig.talk()
        namespaces.ip("phone", "addr", "add", f"{rig.hosts['caller']}/32", "dev", "edge")
        namespaces.ip("phone", "route", "add", rig.edge["caller"], "via", rig.edge["phone"])
        namespaces.set("edge", "net.ipv4.conf.phone.rp_filter", "1")
        with namespaces.inside("phone"):
            spoofer = made.SocketPeer(rig.hosts["caller"], rig.caller.ssrc, rig.caller.address[1])
        spoofer.remote = rig.caller.remote
        spoofer.sequence, spoofer.timestamp = rig.caller.sequence, rig.caller.timestamp
        before = rig.forwarded("caller")
        spoofer.send_speech(5)
        await rig.talk(1)
        assert rig.forwarded("caller") == before + 1
        assert rig.session.counts("caller").packets_in == ENOUGH + 1
        spoofer.close()


async def test_peer_behind_a_bridge_is_forwarded_in_the_kernel():
    with Namespaces("sdkb") as namespaces:
        namespaces.ip("edge", "link", "add", "br0", "type", "bridge")
        namespaces.ip("edge", "addr", "flush", "dev", "caller")
        namespaces.ip("edge", "link", "set", "caller", "master", "br0")
        namespaces.ip("edge", "addr", "add", f"{EDGE['caller']}/24", "dev", "br0")
        namespaces.ip("edge", "link", "set", "br0", "up")
        with made.rig(namespaces) as rig:
            rig.agree()
            at_caller, at_phone = await rig.talk(20)
            assert rig.in_kernel() == (True, True)
            assert rig.forwarded("caller") > 10
            assert rig.forwarded("phone") > 10
            assert is_one_stream(at_caller)
            assert is_one_stream(at_phone)


async def test_flushed_neighbour_is_resolved_again_without_loss_rfc826(rig):
    rig.agree()
    _, heard = await rig.talk()
    for _ in range(5):
        rig.namespaces.ip("edge", "neigh", "flush", "dev", "phone")
        before = rig.forwarded("caller")
        _, more = await rig.talk(2)
        assert rig.forwarded("caller") == before + 2
        heard += more
    assert is_one_stream(heard)


async def test_packet_above_the_smallest_mtu_is_left_to_userspace():
    with Namespaces("sdkm") as namespaces:
        for who, cable in (("edge", "phone"), ("phone", "edge")):
            namespaces.ip(who, "link", "set", cable, "mtu", "1300")
        with made.rig(namespaces) as rig:
            rig.agree()
            _, heard = await rig.talk()
            before = rig.forwarded("caller")
            rig.caller.send_speech(1, payload=bytes(1280 - 40))
            rig.caller.send_speech(1, payload=bytes(1281 - 40))
            rig.caller.send_speech(1, payload=bytes(1400 - 40))
            heard += await rig.phone.receive(3)
            assert rig.forwarded("caller") == before + 1
            assert is_one_stream(heard)


async def test_two_edges_on_one_host_forward_independently():
    with (
        Namespaces("sdk2") as namespaces,
        made.rig(namespaces) as one,
        made.rig(namespaces, low=21000) as other,
    ):
        for rig in (one, other):
            rig.agree()
        at_caller, at_phone = await one.talk(20)
        at_other_caller, at_other_phone = await other.talk(20)
        for rig, heard in ((one, [at_caller, at_phone]), (other, [at_other_caller, at_other_phone])):
            assert rig.in_kernel() == (True, True)
            assert rig.forwarded("caller") > 10
            assert all(map(is_one_stream, heard))
