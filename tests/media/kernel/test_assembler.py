"""eBPF assembler: instruction encoding, jumps and labels (RFC 9669)."""

import struct

import pytest

from proxy.media.kernel.assembler import R0, R1, R2, R10, Assembler

LITTLE = struct.pack("=H", 1) == b"\1\0"


def lines(asm: Assembler) -> list[tuple[int, int, int, int, int]]:
    """Opcode, destination, source, offset and immediate of each instruction."""
    code = asm.code()
    found = []
    for at in range(0, len(code), 8):
        opcode, registers, offset, number = struct.unpack_from("=BBhi", code, at)
        low, high = registers & 15, registers >> 4
        found.append((opcode, *((low, high) if LITTLE else (high, low)), offset, number))
    return found


def test_instructions_are_encoded_as_specified_rfc9669_3_1():
    asm = Assembler()
    asm.load(4, R1, R2, 76)
    asm.store(8, R10, -8, R1)
    asm.do("add", R0, R1)
    asm.do_number("and", R0, -1)
    asm.count(R2, 16, R1)
    asm.network_order(R1, 16)
    asm.keep_32(R2)
    asm.invert_32(R2)
    asm.call(5)
    asm.leave()
    assert lines(asm) == [
        (0x61, 1, 2, 76, 0),
        (0x7B, 10, 1, -8, 0),
        (0x0F, 0, 1, 0, 0),
        (0x57, 0, 0, 0, -1),
        (0xDB, 2, 1, 16, 0),
        (0xDC, 1, 0, 0, 16),
        (0xBC, 2, 2, 0, 0),
        (0xA4, 2, 0, 0, -1),
        (0x85, 0, 0, 0, 5),
        (0x95, 0, 0, 0, 0),
    ]


def test_jump_offsets_count_from_the_next_instruction_rfc9669_4_3():
    asm = Assembler()
    asm.label("top")
    asm.jump_if(R1, ">", R2, "end")
    asm.jump_if_number(R1, "!=", 7, "top")
    asm.jump("end")
    asm.label("end")
    asm.leave()
    assert lines(asm)[:3] == [(0x2D, 1, 2, 2, 0), (0x55, 1, 0, -2, 7), (0x05, 0, 0, 0, 0)]


def test_map_load_takes_two_instructions_and_jumps_account_for_it_rfc9669_5_4():
    asm = Assembler()
    asm.jump("end")
    asm.map(R1, 33)
    asm.label("end")
    asm.leave()
    assert lines(asm)[:3] == [(0x05, 0, 0, 2, 0), (0x18, 1, 1, 0, 33), (0, 0, 0, 0, 0)]


def test_undefined_or_repeated_label_is_refused():
    asm = Assembler()
    asm.jump("nowhere")
    with pytest.raises(KeyError, match="nowhere"):
        asm.code()
    asm.label("here")
    with pytest.raises(ValueError, match="here"):
        asm.label("here")
