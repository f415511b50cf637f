"""Flow records: the layout that the eBPF program reads, and checksum differences (RFC 1624)."""

import struct

from hypothesis import given
from hypothesis import strategies as st

from proxy.media.kernel import flow
from proxy.media.kernel.flow import Flow, difference
from tests.media.kernel.namespaces import checksum

FLOW = Flow(
    peer=("192.0.2.2", 5000),
    ours=("192.0.2.1", 20000),
    out=("198.51.100.1", 20002),
    to=("198.51.100.2", 7000),
    ssrc=1,
    out_ssrc=2,
    sequence_step=3,
    timestamp_step=4,
    types={0: 8},
    rate=8000,
    leaves_by=5,
    only_from=6,
)


def test_packed_flow_has_the_offsets_that_the_program_reads():
    packed = FLOW.packed(10, 160)
    assert len(packed) == flow.FLOW_BYTES
    assert struct.unpack_from("=Q", packed, flow.LAST) == (10 << 32 | 160,)
    assert struct.unpack_from("=II", packed, flow.ONLY_FROM) == (6, 5)
    assert struct.unpack_from("!HH", packed, flow.PORTS_IN) == (5000, 20000)
    assert struct.unpack_from("!HH", packed, flow.PORTS_OUT) == (20002, 7000)
    assert struct.unpack_from("!I", packed, flow.SSRC_IN) == (1,)
    assert struct.unpack_from("!I", packed, flow.SSRC_OUT) == (2,)
    assert struct.unpack_from("=III", packed, flow.SEQUENCE_STEP) == (3, 4, 8000)
    assert struct.unpack_from("=I", packed, flow.TICKS) == (34359,)
    assert packed[flow.ADDRESSES_IN : flow.ADDRESSES_IN + 4] == bytes([192, 0, 2, 2])
    assert packed[flow.ADDRESSES_IN + 16 : flow.ADDRESSES_IN + 20] == bytes([192, 0, 2, 1])
    assert packed[flow.ADDRESSES_OUT : flow.ADDRESSES_OUT + 4] == bytes([198, 51, 100, 1])
    assert packed[flow.ADDRESSES_OUT + 16 : flow.ADDRESSES_OUT + 20] == bytes([198, 51, 100, 2])


def test_payload_types_not_in_the_table_go_to_userspace():
    table = FLOW.packed(0, 0)[flow.TYPES :]
    assert table[0] == 8
    assert set(table[1:]) == {flow.USERSPACE}


words = st.lists(st.binary(min_size=4, max_size=4), min_size=1, max_size=8)


@given(words, words, st.binary(max_size=40))
def test_incremental_checksum_equals_a_full_one_rfc1624(old, new, rest):
    size = min(len(old), len(new))
    before, after = b"".join(old[:size]), b"".join(new[:size])
    change = struct.pack("=I", difference(before, after))
    kept = struct.pack("!H", checksum(before + rest) ^ 0xFFFF)
    assert checksum(kept + change) % 0xFFFF == checksum(after + rest) % 0xFFFF
