"""The eBPF forwarding program, run on hand-made frames with BPF_PROG_TEST_RUN."""

import struct
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.media.kernel import bpf, flow, program
from proxy.media.kernel.flow import Flow
from tests.media.kernel.able import needs_kernel
from tests.media.kernel.frames import Frame, decode
from tests.media.kernel.once import run_once

pytestmark = [pytest.mark.network, needs_kernel]

V4 = Frame()
V6 = Frame(("2001:db8:1::2", 5000), ("2001:db8:1::1", 20000))
BOTH = pytest.mark.parametrize("frame", [V4, V6], ids=["ipv4", "ipv6"])
SECOND_PORT = 20002


class Trial:
    """The forwarding program with a table of its own, attached to no interface."""

    def __init__(self) -> None:
        table = bpf.create_array("trial", flow.RECORD_BYTES, 4)
        self.memory = bpf.map_memory(table, flow.RECORD_BYTES, 4)
        self.program = bpf.load("trial", program.forwarder(table, 20000))

    def forward(
        self, wanted: Flow, sequence: int = 10, timestamp: int = 160, *, record: int = 0, slot: int = 1
    ):
        at = record * flow.RECORD_BYTES
        place = at + flow.FLOWS + (slot - 1) * flow.FLOW_BYTES
        self.memory[at : at + flow.RECORD_BYTES] = bytes(flow.RECORD_BYTES)
        self.memory[place : place + flow.FLOW_BYTES] = wanted.packed(sequence, timestamp)
        self.memory[at : at + 4] = struct.pack("=I", slot)

    def passed_on(self, frame: Frame) -> Frame | None:
        """Run the program on a frame; returns the rewritten frame, or None if it is passed up unchanged."""
        verdict, out = run_once(self.program, came := frame.encode())
        assert verdict == program.NEXT & 0xFFFFFFFF
        return None if out == came else decode(out)

    def counted(self, record: int = 0) -> tuple[int, int]:
        packets, octets = struct.unpack_from("=QQ", self.memory, record * flow.RECORD_BYTES + flow.PACKETS)
        return packets, octets


@pytest.fixture(scope="module")
def trial() -> Iterator[Trial]:
    return Trial()


def local_flow(frame: Frame, **changes) -> Flow:
    """A flow to a receiver on this machine: its rewritten packets go up the stack again."""
    six = ":" in frame.source[0]
    usual = {
        "peer": frame.source,
        "ours": frame.to,
        "out": ("2001:db8:2::1" if six else "198.51.100.1", 20002),
        "to": ("2001:db8:2::2" if six else "198.51.100.2", 7000),
        "ssrc": 0xAAAA,
        "out_ssrc": 0x12345678,
        "sequence_step": 65530,
        "timestamp_step": 0xFFFFFF00,
        "types": {0: 8, 9: 96},
        "rate": 8000,
        "leaves_by": 0,
    }
    return Flow(**{**usual, **changes})


@BOTH
def test_plain_packet_is_rewritten_with_its_marker_and_payload_kept(trial, frame):
    trial.forward(local_flow(frame))
    out = trial.passed_on(frame.but(marker=True, pt=9))
    wanted = local_flow(frame)
    assert out == frame.but(
        source=wanted.out,
        to=wanted.to,
        ssrc=0x12345678,
        pt=96,
        marker=True,
        sequence=(11 + 65530) & 0xFFFF,
        timestamp=(320 + 0xFFFFFF00) & 0xFFFFFFFF,
        fragment=0 if ":" in frame.source[0] else 0x4000,
    )
    assert trial.counted() == (1, 160)


@BOTH
def test_ip_header_has_default_tos_and_ttl(trial, frame):
    trial.forward(local_flow(frame))
    _, out = run_once(trial.program, frame.encode())
    if ":" in frame.source[0]:
        assert struct.unpack_from("!I", out, 14)[0] == 0x60000000
        assert out[21] == 64
    else:
        assert out[15] == 0
        assert out[22] == 64


@BOTH
def test_duplicate_and_late_packets_are_passed_to_userspace(trial, frame):
    trial.forward(local_flow(frame))
    assert trial.passed_on(frame)
    assert trial.passed_on(frame) is None
    assert trial.passed_on(frame.but(sequence=10, timestamp=160)) is None
    assert trial.passed_on(frame.but(sequence=12, timestamp=480))
    assert trial.counted() == (2, 320)


@BOTH
def test_jitter_and_the_longest_gap_are_counted_rfc3550_a_8(trial, frame):
    """Computed as in the RFC, from the arrival times that the kernel recorded."""
    trial.forward(local_flow(frame))
    jitter, longest, before = 0, 0, None
    for step in range(20):
        assert trial.passed_on(frame.but(sequence=11 + step, timestamp=320 + 16 * step))
        at, counted, gap = struct.unpack_from("=QQQ", trial.memory, flow.LAST_NS)
        if before is not None:
            longest = max(longest, at - before)
            off = abs(int((at - before) * 8e-6) - 16)
            jitter += off - ((jitter + 8) >> 4)
        assert counted == pytest.approx(jitter, abs=2 * step)
        assert gap == longest
        before = at
    assert counted > 0


@BOTH
def test_sequence_and_timestamp_wrap_rfc3550_5_1(trial, frame):
    trial.forward(local_flow(frame), 65535, 0xFFFFFFF0)
    out = trial.passed_on(frame.but(sequence=0, timestamp=0x90))
    assert out is not None
    assert (out.sequence, out.timestamp) == (65530, 0xFFFFFF90)
    (last,) = struct.unpack_from("=Q", trial.memory, flow.FLOWS)
    assert last == 0x90


LEFT = {
    "a stranger's address": {"source": ("192.0.2.66", 5000)},
    "a stranger's port": {"source": ("192.0.2.2", 5001)},
    "to another address": {"to": ("192.0.2.9", 20000)},
    "to the port of RTCP": {"to": ("192.0.2.1", 20001)},
    "to a port without a flow": {"to": ("192.0.2.1", 20004)},
    "to a port before the range": {"to": ("192.0.2.1", 19998)},
    "to a port behind the range": {"to": ("192.0.2.1", 20008)},
    "another SSRC": {"ssrc": 1},
    "a telephone-event": {"pt": 101},
    "RTCP on the port of RTP": {"pt": 72, "marker": True},
    "a header extension": {"first": 0x90},
    "padding": {"first": 0xA0},
    "CSRCs": {"first": 0x81},
    "no RTP": {"first": 0x00},
    "the one after the next": {"sequence": 12},
    "the one before": {"sequence": 10},
    "too far on in time": {"timestamp": 160 + 8001},
    "no later in time": {"timestamp": 160},
    "back in time": {"timestamp": 159},
    "a fragment": {"fragment": 0x2000},
    "the end of a datagram": {"fragment": 0x0010},
    "IP options": {"options": bytes(4)},
    "TCP": {"protocol": 6},
    "UDP longer than IP": {"udp_longer": 4},
    "IP longer than the frame": {"ip_longer": 4, "udp_longer": 4},
    "no RTP header": {"payload": b"", "udp_longer": -4, "ip_longer": -4},
    "ARP": {"ethertype": 0x0806},
}


@pytest.mark.parametrize("change", LEFT.values(), ids=LEFT.keys())
def test_other_packets_are_passed_up_unchanged_and_uncounted(trial, change):
    trial.forward(local_flow(V4))
    assert trial.passed_on(V4.but(**change)) is None
    assert trial.counted() == (0, 0)
    assert trial.passed_on(V4)


LEFT6 = {name: LEFT[name] for name in ("another SSRC", "a header extension", "TCP", "UDP longer than IP")}


@pytest.mark.parametrize("change", LEFT6.values(), ids=LEFT6.keys())
def test_other_ipv6_packets_are_passed_up_unchanged(trial, change):
    trial.forward(local_flow(V6))
    assert trial.passed_on(V6.but(**change)) is None
    for wrong in ("2001:db8:1::3", "3001:db8:1::2", "2001:db8:2::2", "2001:db8:1:0:1::2"):
        assert trial.passed_on(V6.but(source=(wrong, 5000))) is None
    assert trial.passed_on(V6)


def test_nothing_is_forwarded_without_a_live_flow(trial):
    trial.forward(local_flow(V4))
    trial.memory[0:4] = bytes(4)
    assert trial.passed_on(V4) is None


def test_only_the_live_slot_of_a_record_is_used(trial):
    trial.forward(local_flow(V4), slot=2)
    assert trial.passed_on(V4)
    trial.forward(local_flow(V4, peer=("192.0.2.66", 1)), slot=2)
    assert trial.passed_on(V4) is None


def test_packet_from_another_interface_is_not_forwarded_if_one_is_set(trial):
    trial.forward(local_flow(V4, only_from=1))
    assert trial.passed_on(V4)
    trial.forward(local_flow(V4, only_from=2))
    assert trial.passed_on(V4) is None


def test_each_port_has_its_own_record(trial):
    trial.forward(local_flow(V4, types={0: 0}))
    other = V4.but(to=("192.0.2.1", 20006))
    trial.forward(local_flow(other, types={0: 13}), record=3)
    assert trial.passed_on(V4).pt == 0
    assert trial.passed_on(other).pt == 13
    assert trial.counted(3) == (1, 160)


def test_absent_udp_checksum_stays_absent_over_ipv4_rfc768(trial):
    trial.forward(local_flow(V4))
    out = trial.passed_on(V4.but(summed=False))
    assert out is not None
    assert not out.summed


def test_frame_padded_to_the_ethernet_minimum_is_forwarded(trial):
    trial.forward(local_flow(V4))
    out = trial.passed_on(V4.but(payload=b"x", trailer=bytes(20)))
    assert out is not None
    assert out.payload == b"x"


numbers = st.integers(0, 0xFFFFFFFF)


@settings(max_examples=200, deadline=None)
@given(
    frame=st.sampled_from([V4, V6]),
    change=st.builds(dict, ssrc=numbers, sequence=st.integers(0, 65535), timestamp=numbers),
    payload=st.binary(max_size=200),
    out=st.builds(dict, out_ssrc=numbers, sequence_step=st.integers(0, 65535), timestamp_step=numbers),
)
def test_rewritten_packets_have_correct_checksums_rfc1624(trial, frame, change, payload, out):
    came = frame.but(payload=payload, **change)
    trial.forward(local_flow(came, ssrc=came.ssrc, **out), came.sequence - 1, came.timestamp - 1)
    left = trial.passed_on(came)
    assert left is not None
    assert left.sequence == (came.sequence + out["sequence_step"]) & 0xFFFF
    assert left.timestamp == (came.timestamp + out["timestamp_step"]) & 0xFFFFFFFF
    assert left.payload == payload
