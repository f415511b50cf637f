"""bpf(2) wrappers: maps, verifier errors, missing interfaces, and systems without eBPF."""

import os
import platform
import struct

import pytest

from proxy.media.kernel import bpf
from proxy.media.kernel.assembler import R0, Assembler
from tests.media.kernel.able import needs_kernel

pytestmark = [pytest.mark.network, needs_kernel]


def test_map_is_readable_and_writable_memory():
    memory = bpf.map_memory(bpf.create_array("test", 8, 600), 8, 600)
    assert len(memory) == 8192
    memory[4792:4800] = struct.pack("=Q", 7)
    assert memory[4792:4800] == struct.pack("=Q", 7)


def test_rejected_program_raises_with_the_verifier_s_message():
    asm = Assembler()
    asm.leave()
    with pytest.raises(bpf.KernelRefused, match=r"Permission denied|Invalid argument") as refused:
        bpf.load("bad", asm.code())
    assert "R0 !read_ok" in refused.value.__notes__[0]


def test_attaching_to_a_missing_interface_is_refused():
    asm = Assembler()
    asm.do_number("mov", R0, -1)
    asm.leave()
    program = bpf.load("idle", asm.code())
    try:
        with pytest.raises(bpf.NoInterface, match="no interface 999999"):
            bpf.attach(program, 999999)
    finally:
        os.close(program)


def test_system_without_ebpf_is_reported(monkeypatch):
    monkeypatch.setattr(platform, "system", lambda: "Darwin")
    with pytest.raises(bpf.KernelRefused, match="no eBPF on Darwin"):
        bpf.create_array("test", 8, 1)
