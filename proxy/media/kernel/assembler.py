"""A minimal eBPF assembler: one method per instruction, and labels for jumps (RFC 9669)."""

from __future__ import annotations

import struct
import sys

# Registers (RFC 9669 §2.2): r0 holds return values of helpers and the program; r1 to r5 are arguments of
# helpers, and clobbered by them; r6 to r9 are preserved; r10 points to the end of a 512-byte stack.
R0, R1, R2, R3, R4, R5, R6, R7, R8, R9, R10 = range(11)

_LOAD = {1: 0x71, 2: 0x69, 4: 0x61, 8: 0x79}
_STORE = {1: 0x73, 2: 0x6B, 4: 0x63, 8: 0x7B}
"""Opcodes for loading from and storing to memory, by size in bytes (§5.1)."""

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
"""64-bit operations (§4.1)."""

_JUMPS = {"==": 0x10, ">": 0x20, ">=": 0x30, "!=": 0x50, "<": 0xA0, "<=": 0xB0}
"""Unsigned 64-bit comparisons (§4.3)."""

_FROM_REGISTER = 0x08
_ALU64, _ALU32, _JMP = 0x07, 0x04, 0x05
_PSEUDO_MAP_FD = 1  # <linux/bpf.h>: the immediate of a 64-bit load is a map's descriptor


class Assembler:
    """Collects instructions; `code()` returns them once all labels are defined."""

    def __init__(self) -> None:
        self._lines: list[tuple[int, int, int, int | str, int]] = []
        self._labels: dict[str, int] = {}

    def label(self, name: str) -> None:
        """Define a label here, as a target of jumps."""
        if name in self._labels:
            raise ValueError(f"label given twice: {name}")
        self._labels[name] = len(self._lines)

    def load(self, size: int, to: int, base: int, offset: int) -> None:
        """`to` = the `size` bytes at `base` + `offset`, in host byte order."""
        self._add(_LOAD[size], to, base, offset)

    def store(self, size: int, base: int, offset: int, value: int) -> None:
        """Store the lowest `size` bytes of the register `value` at `base` + `offset`."""
        self._add(_STORE[size], base, value, offset)

    def count(self, base: int, offset: int, by: int) -> None:
        """Atomically add the register `by` to the 8 bytes at `base` + `offset` (§5.3)."""
        self._add(0xDB, base, by, offset)

    def do(self, operation: str, to: int, by: int) -> None:
        """`to` = `to` operation `by`, a register."""
        self._add(_ARITHMETIC[operation] | _FROM_REGISTER | _ALU64, to, by)

    def do_number(self, operation: str, to: int, by: int) -> None:
        """`to` = `to` operation `by`, a signed 32-bit number."""
        self._add(_ARITHMETIC[operation] | _ALU64, to, 0, 0, by)

    def keep_32(self, to: int) -> None:
        """Clear the upper 32 bits of a register."""
        self._add(_ARITHMETIC["mov"] | _FROM_REGISTER | _ALU32, to, to)

    def invert_32(self, to: int) -> None:
        """Invert the lower 32 bits of a register, and clear the upper 32."""
        self._add(_ARITHMETIC["xor"] | _ALU32, to, 0, 0, -1)

    def network_order(self, to: int, bits: int) -> None:
        """Convert the lowest `bits` between host and network byte order, and clear the rest."""
        self._add(0xDC, to, 0, 0, bits)

    def jump(self, label: str) -> None:
        """Jump always."""
        self._add(0x05, 0, 0, label)

    def jump_if(self, left: int, comparison: str, right: int, label: str) -> None:
        """Jump if this comparison of the register `left` with the register `right` holds."""
        self._add(_JUMPS[comparison] | _FROM_REGISTER | _JMP, left, right, label)

    def jump_if_number(self, left: int, comparison: str, right: int, label: str) -> None:
        """Jump if this comparison of the register `left` with a number holds."""
        self._add(_JUMPS[comparison] | _JMP, left, 0, label, right)

    def map(self, to: int, descriptor: int) -> None:
        """`to` = the map with this descriptor (§5.4)."""
        self._add(0x18, to, _PSEUDO_MAP_FD, 0, descriptor)
        self._add(0, 0)

    def call(self, helper: int) -> None:
        """Call a kernel helper by its number in <linux/bpf.h>."""
        self._add(0x85, 0, 0, 0, helper)

    def leave(self) -> None:
        """End the program, with the verdict in r0."""
        self._add(0x95, 0)

    def code(self) -> bytes:
        """The instructions, eight bytes each (§3.1). Raises KeyError for an undefined label."""
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
