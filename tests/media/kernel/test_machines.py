"""Kernel forwarding on hosts with firewalls, NAT, policy routing or bridges."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from proxy.media.tones import beep
from tests.media.kernel import rig as made
from tests.media.kernel.able import needs_kernel
from tests.media.kernel.namespaces import EDGE, PEERS, Namespaces
from tests.media.kernel.rig import ENOUGH, Rig, one_line

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


async def _breath(rig: Rig) -> None:
    """Report twice on each leg, as happens within ten seconds of a call."""
    for leg in ("caller", "phone"):
        rig.stream(leg).report()
        rig.stream(leg).report()


async def test_every_ten_seconds_a_packet_is_seen_here_and_the_kernel_goes_on(rig):
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
    assert one_line(at_caller)
    assert one_line(at_phone)
    assert rig.in_kernel() == (True, True)
    assert rig.session.counts("caller").lost == 0


async def test_a_firewall_that_forbids_a_peer_is_obeyed_within_ten_seconds(rig):
    rig.agree()
    await rig.talk()
    rig.namespaces.nft("edge", "add table ip t; add chain ip t in { type filter hook input priority 0; }")
    rig.namespaces.nft("edge", f"add rule ip t in ip saddr {rig.hosts['caller']} drop")
    await _breath(rig)
    before = rig.forwarded("caller")
    rig.caller.says(20)
    rig.phone.says(2)
    await rig.caller.hears(2)
    assert rig.forwarded("caller") == before
    assert rig.session.counts("caller").packets_in == ENOUGH


async def test_a_firewall_that_lets_in_whom_we_speak_to_does_not_forget_a_call(rig):
    """Conntrack entries expire after 1 s here, not 30; a sleep of 0.4 s stands for ten seconds."""
    for name in ("udp_timeout", "udp_timeout_stream"):
        rig.namespaces.set("edge", f"net.netfilter.nf_conntrack_{name}", "1")
    rig.namespaces.nft("edge", f"add table ip t; add chain ip t in {{ {INPUT}; policy drop; }}")
    rig.namespaces.nft("edge", "add rule ip t in ct state established accept")
    rig.agree()
    await asyncio.gather(rig.session.play("caller", beep()), rig.session.play("phone", beep()))
    rig.phone.has_heard()
    rig.caller.has_heard()
    _, heard = await rig.talk(60)
    for _ in range(6):
        _, more = await rig.talk()
        heard += more
        assert rig.in_kernel() == (True, True)
        await _breath(rig)
        rig.caller.says(1)
        rig.phone.says(1)
        heard += await rig.phone.hears(1)
        await rig.caller.hears(1)
        await asyncio.sleep(0.4)
    rig.caller.says(1, pt=101, payload=EVENT)
    heard += await rig.phone.hears(1)
    assert heard[-1].pt == 101
    assert one_line(heard)


async def test_who_is_reached_under_another_address_of_ours_is_spoken_to_by_the_socket(rig):
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
    assert one_line(at_caller)
    assert one_line(at_phone)


async def test_a_doubt_about_this_machine_leaves_every_stream_to_userspace(rig):
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
    assert one_line([*heard, *more, *most])


async def test_a_machine_with_a_table_for_each_of_its_addresses_loses_no_packet():
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
            assert one_line(at_caller)
            assert one_line(at_phone)
            assert rig.in_kernel() == (False, False)


async def test_who_has_the_peers_address_at_another_cable_is_left_to_rp_filter():
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
        spoofer.says(5)
        await rig.talk(1)
        assert rig.forwarded("caller") == before + 1
        assert rig.session.counts("caller").packets_in == ENOUGH + 1
        spoofer.close()


async def test_a_peer_behind_a_bridge_is_forwarded_where_ip_would_have_its_packets():
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
            assert one_line(at_caller)
            assert one_line(at_phone)


async def test_a_neighbour_whose_address_is_forgotten_is_asked_for_and_no_packet_is_lost_rfc826(rig):
    rig.agree()
    _, heard = await rig.talk()
    for _ in range(5):
        rig.namespaces.ip("edge", "neigh", "flush", "dev", "phone")
        before = rig.forwarded("caller")
        _, more = await rig.talk(2)
        assert rig.forwarded("caller") == before + 2
        heard += more
    assert one_line(heard)


async def test_a_packet_that_some_cable_may_not_carry_whole_is_left_to_the_stack():
    with Namespaces("sdkm") as namespaces:
        for who, cable in (("edge", "phone"), ("phone", "edge")):
            namespaces.ip(who, "link", "set", cable, "mtu", "1300")
        with made.rig(namespaces) as rig:
            rig.agree()
            _, heard = await rig.talk()
            before = rig.forwarded("caller")
            rig.caller.says(1, payload=bytes(1280 - 40))
            rig.caller.says(1, payload=bytes(1281 - 40))
            rig.caller.says(1, payload=bytes(1400 - 40))
            heard += await rig.phone.hears(3)
            assert rig.forwarded("caller") == before + 1
            assert one_line(heard)


async def test_two_edges_on_one_machine_forward_each_its_own():
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
            assert all(map(one_line, heard))
