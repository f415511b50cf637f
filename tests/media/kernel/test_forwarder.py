"""Kernel forwarder: lanes, attachment to interfaces, route changes, and the capabilities needed."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from proxy.media.kernel import bpf, netlink
from proxy.media.kernel.flow import Flow
from proxy.media.kernel.forwarder import Forwarder, ReceptionState
from tests.media.kernel.able import needs_kernel
from tests.media.kernel.namespaces import EDGE, Namespaces

pytestmark = [pytest.mark.network, needs_kernel]

ROOT = Path(__file__).parents[3]
OURS, OUT, TO, PEER = (("127.0.0.1", port) for port in (20000, 20002, 20090, 20092))
FLOW = Flow(
    peer=PEER,
    ours=OURS,
    out=OUT,
    to=TO,
    ssrc=0x41414141,
    out_ssrc=0x42424242,
    sequence_step=5,
    timestamp_step=7,
    types={0: 0},
    rate=8000,
    leaves_by=0,
)
UNHEARD = ReceptionState(None, 0.0, 0.0)
PACKET = b"\x80\x00\x00\x0b\x00\x00\x00\x10" + b"AAAA" + b"speech"
FORWARDED = b"\x80\x00\x00\x10\x00\x00\x00\x17" + b"BBBB" + b"speech"

EDGE_THAT_WAITS = """
import time
from proxy.media.kernel.forwarder import Forwarder
from tests.media.kernel.test_forwarder import FLOW, UNHEARD
forwarder = Forwarder(20000, 20099, ["127.0.0.1"])
forwarder.entry(20000).forward(FLOW, 10, 8, UNHEARD)
print("ready", flush=True)
time.sleep(60)
"""


@pytest.fixture(scope="module")
def namespaces() -> Iterator[Namespaces]:
    with Namespaces("sdkf") as namespaces:
        yield namespaces


class Sockets:
    """Sockets of the sending peer, of the edge, and of the peer that packets are forwarded to."""

    def __init__(self) -> None:
        self.peer, self.ours, self.to = (_bound(each) for each in (PEER, OURS, TO))

    def send(self) -> tuple[str, bytes]:
        """Send a packet from the peer; returns which socket received it, and its bytes."""
        self.peer.sendto(PACKET, OURS)
        for name, each in (("to", self.to), ("ours", self.ours)):
            try:
                return name, each.recv(2048)
            except TimeoutError:
                continue
        raise AssertionError("nobody got it")

    def close(self) -> None:
        for each in (self.peer, self.ours, self.to):
            each.close()


def _bound(address: tuple[str, int]) -> socket.socket:
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.bind(address)
    made.settimeout(0.2)
    return made


def test_entry_forwards_until_stopped_and_reports_its_counts(namespaces):
    with namespaces.inside("edge"):
        forwarder, sockets = Forwarder(20000, 20099, ["127.0.0.1"]), Sockets()
        entry = forwarder.entry(20000)
        assert sockets.send() == ("ours", PACKET)
        entry.forward(FLOW, 10, 8, UNHEARD)
        assert sockets.send() == ("to", FORWARDED)
        carried = entry.forwarded()
        assert carried[:3] == (1, 6, 16)
        assert carried.hearing.at == pytest.approx(time.monotonic(), abs=1)
        assert entry.forwarded()[:2] == (0, 0)
        entry.stop()
        assert sockets.send() == ("ours", PACKET)
        entry.forward(FLOW, 10, 8, UNHEARD)
        assert sockets.send() == ("to", FORWARDED)
        assert entry.forwarded()[:3] == (1, 6, 16)
        forwarder.close()
        forwarder.close()
        assert sockets.send() == ("ours", PACKET)
        sockets.close()


def test_new_entry_for_a_port_starts_without_flow_or_counts(namespaces):
    with namespaces.inside("edge"):
        forwarder, sockets = Forwarder(20000, 20099, ["127.0.0.1"]), Sockets()
        forwarder.entry(20000).forward(FLOW, 10, 8, UNHEARD)
        assert sockets.send() == ("to", FORWARDED)
        again = forwarder.entry(20000)
        assert sockets.send() == ("ours", PACKET)
        assert again.forwarded().packets == 0
        sockets.close()
        forwarder.close()


def test_killed_process_leaves_no_program_and_a_restart_works(namespaces):
    command = namespaces.command("edge", sys.executable, "-c", EDGE_THAT_WAITS)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    for _ in range(2):
        with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT, env=environment) as edge:
            assert edge.stdout is not None
            assert edge.stdout.readline() == b"ready\n"
            with namespaces.inside("edge"):
                sockets = Sockets()
            assert sockets.send() == ("to", FORWARDED)
            edge.send_signal(signal.SIGKILL)
            edge.wait(10)
        assert sockets.send() == ("ours", PACKET)
        sockets.close()


def test_program_is_attached_to_the_interfaces_of_the_media_address(namespaces):
    with namespaces.inside("edge"):
        everywhere = Forwarder(20000, 20099, ["0.0.0.0"])
        one = Forwarder(20000, 20099, [EDGE["caller"]])
        assert len(everywhere.interfaces) == 3
        assert len(one.interfaces) == 1
        assert one.interfaces < everywhere.interfaces
        with pytest.raises(bpf.KernelRefused, match="no interface with Ethernet frames"):
            Forwarder(20000, 20099, ["203.0.113.99"])
        everywhere.close()
        one.close()


def test_interface_vanishing_during_start_is_skipped(namespaces, monkeypatch):
    there = netlink.Netlink.interfaces
    monkeypatch.setattr(netlink.Netlink, "interfaces", lambda asked: {**there(asked), 999999: False})
    with namespaces.inside("edge"):
        forwarder = Forwarder(20000, 20099, ["0.0.0.0"])
        assert len(forwarder.interfaces) == 3
        forwarder.close()


def test_route_to_a_peer_is_cached_until_close(namespaces):
    with namespaces.inside("edge"):
        forwarder = Forwarder(20000, 20099, ["127.0.0.1"])
        way = forwarder.route("127.0.0.1", None)
        assert forwarder.route("127.0.0.1", None) is way
        forwarder.close()
        assert forwarder.route("127.0.0.2", None) is None


async def test_route_change_clears_the_route_cache_and_stops_every_entry(namespaces):
    with namespaces.inside("edge"):
        forwarder, sockets = Forwarder(20000, 20099, ["127.0.0.1"]), Sockets()
        forwarder.watch()
    entry = forwarder.entry(20000)
    way = forwarder.route("127.0.0.1", None)
    entry.forward(FLOW, 10, 8, UNHEARD)
    namespaces.ip("edge", "route", "add", "blackhole", "203.0.115.0/24")
    async with asyncio.timeout(5):
        while forwarder.route("127.0.0.1", None) is way:
            await asyncio.sleep(0)
    assert sockets.send() == ("ours", PACKET)
    sockets.close()
    forwarder.close()


async def test_program_is_attached_to_new_interfaces_and_forgets_removed_ones(namespaces):
    with namespaces.inside("edge"):
        forwarder = Forwarder(20000, 20099, ["0.0.0.0"])
        forwarder.watch()
        before = forwarder.interfaces
        async with asyncio.timeout(5):
            namespaces.ip("edge", "link", "add", "new0", "type", "veth", "peer", "name", "new1")
            while len(forwarder.interfaces) < len(before) + 2:
                await asyncio.sleep(0.01)
            namespaces.ip("edge", "link", "del", "new0")
            while forwarder.interfaces != before:
                await asyncio.sleep(0.01)
        forwarder.close()


def test_missing_capabilities_are_named_in_the_error():
    refusal = _as_nobody(capabilities=())
    assert refusal == (
        "a table in the kernel is refused (Operation not permitted):"
        " it takes Linux 6.6 or later and the capabilities CAP_BPF and CAP_NET_ADMIN"
    )


def test_cap_net_admin_and_cap_bpf_are_sufficient():
    assert _as_nobody(capabilities=(CAP_NET_ADMIN, CAP_BPF)) == "forwards"


def test_cap_bpf_alone_is_insufficient():
    assert _as_nobody(capabilities=(CAP_BPF,)).startswith("a program in the kernel is refused")


CAP_NET_ADMIN, CAP_BPF = 12, 39
A_NOBODY = """
import sys
from proxy.media.kernel import bpf, forwarder
from tests.media.kernel.privilege import become_nobody
become_nobody({int(each) for each in sys.argv[1:]})
try:
    forwarder.Forwarder(20000, 20099, ["127.0.0.1"]).close()
except bpf.KernelRefused as refused:
    print(refused)
else:
    print("forwards")
"""


def _as_nobody(capabilities: tuple[int, ...]) -> str:
    done = subprocess.run(
        [sys.executable, "-c", A_NOBODY, *map(str, capabilities)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    return done.stdout.strip()
