"""A small assembler of eBPF: one method an instruction, labels for jumps (RFC 9669)."""

from __future__ import annotations

import struct
import sys

# Registers (RFC 9669 §2.2): r0 is what helpers and the program return, r1 to r5 go to helpers and are lost
# there, r6 to r9 stay, r10 points to the end of a stack of 512 bytes.
R0, R1, R2, R3, R4, R5, R6, R7, R8, R9, R10 = range(11)

_LOAD = {1: 0x71, 2: 0x69, 4: 0x61, 8: 0x79}
_STORE = {1: 0x73, 2: 0x6B, 4: 0x63, 8: 0x7B}
"""Opcodes of loads from and stores to memory by size in bytes (§5.1)."""

_ARITHMETIC = {
    "add": 0x00,
    "sub": 0x10,
    "mul": 0x20,
    "or": 0x40,
    "and": 0x50,
    "lsh": 0x60,
    "rsh": 0x70,
    "xor": 0xA0,
    "mov": 0xB0,
}
"""Operations of 64 bits (§4.1)."""

_JUMPS = {"==": 0x10, ">": 0x20, ">=": 0x30, "!=": 0x50, "<": 0xA0, "<=": 0xB0}
"""Comparisons without sign, of 64 bits (§4.3)."""

_FROM_REGISTER = 0x08
_ALU64, _ALU32, _JMP = 0x07, 0x04, 0x05
_PSEUDO_MAP_FD = 1  # <linux/bpf.h>: the immediate of a wide load is a map's descriptor


class Assembler:
    """Collects instructions; `code()` gives them once every label stands."""

    def __init__(self) -> None:
        self._lines: list[tuple[int, int, int, int | str, int]] = []
        self._labels: dict[str, int] = {}

    def label(self, name: str) -> None:
        """Jumps to this name land here."""
        if name in self._labels:
            raise ValueError(f"label given twice: {name}")
        self._labels[name] = len(self._lines)

    def load(self, size: int, to: int, base: int, offset: int) -> None:
        """`to` = the `size` bytes at `base` + `offset`, in the order of the machine."""
        self._add(_LOAD[size], to, base, offset)

    def store(self, size: int, base: int, offset: int, value: int) -> None:
        """The lowest `size` bytes of the register `value` go to `base` + `offset`."""
        self._add(_STORE[size], base, value, offset)

    def count(self, base: int, offset: int, by: int) -> None:
        """Add the register `by` to the 8 bytes at `base` + `offset`, atomically (§5.3)."""
        self._add(0xDB, base, by, offset)

    def do(self, operation: str, to: int, by: int) -> None:
        """`to` = `to` operation the register `by`."""
        self._add(_ARITHMETIC[operation] | _FROM_REGISTER | _ALU64, to, by)

    def do_number(self, operation: str, to: int, by: int) -> None:
        """`to` = `to` operation the number `by`, of 31 bits and a sign."""
        self._add(_ARITHMETIC[operation] | _ALU64, to, 0, 0, by)

    def keep_32(self, to: int) -> None:
        """Clear the upper half of a register."""
        self._add(_ARITHMETIC["mov"] | _FROM_REGISTER | _ALU32, to, to)

    def invert_32(self, to: int) -> None:
        """Every bit of the lower half turned, the upper half cleared."""
        self._add(_ARITHMETIC["xor"] | _ALU32, to, 0, 0, -1)

    def network_order(self, to: int, bits: int) -> None:
        """The lowest `bits` from the machine's order to the network's, or back; the rest cleared."""
        self._add(0xDC, to, 0, 0, bits)

    def jump(self, label: str) -> None:
        """Go there."""
        self._add(0x05, 0, 0, label)

    def jump_if(self, left: int, comparison: str, right: int, label: str) -> None:
        """Go there if the register `left` compares so with the register `right`."""
        self._add(_JUMPS[comparison] | _FROM_REGISTER | _JMP, left, right, label)

    def jump_if_number(self, left: int, comparison: str, right: int, label: str) -> None:
        """Go there if the register `left` compares so with a number."""
        self._add(_JUMPS[comparison] | _JMP, left, 0, label, right)

    def map(self, to: int, descriptor: int) -> None:
        """`to` = the map of this descriptor (§5.4)."""
        self._add(0x18, to, _PSEUDO_MAP_FD, 0, descriptor)
        self._add(0, 0)

    def call(self, helper: int) -> None:
        """Call a helper of the kernel by its number in <linux/bpf.h>."""
        self._add(0x85, 0, 0, 0, helper)

    def leave(self) -> None:
        """The program ends with the verdict in r0."""
        self._add(0x95, 0)

    def code(self) -> bytes:
        """The instructions, eight bytes each (§3.1). Raises KeyError for a label that stands nowhere."""
        return b"".join(
            _encoded(opcode, to, source, self._distance(place, offset), number)
            for place, (opcode, to, source, offset, number) in enumerate(self._lines)
        )

    def _distance(self, place: int, offset: int | str) -> int:
        return self._labels[offset] - place - 1 if isinstance(offset, str) else offset

    def _add(self, opcode: int, to: int, source: int = 0, offset: int | str = 0, number: int = 0) -> None:
        self._lines.append((opcode, to, source, offset, number))


def _encoded(opcode: int, to: int, source: int, offset: int, number: int) -> bytes:
    registers = source << 4 | to if sys.byteorder == "little" else to << 4 | source
    return struct.pack("=BBhi", opcode, registers, offset, number)
