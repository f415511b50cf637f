"""Kernel forwarding of audio: what the settings need from the system, and the fallback."""

from __future__ import annotations

import platform
from pathlib import Path

import pytest

from proxy.config import Settings, load
from proxy.kernel_forwarding import missing, wanted
from proxy.media.kernel import host
from tests.media.kernel.able import needs_kernel

LAB = Path(__file__).parents[1] / "config" / "lab.toml"


def settings(folder: Path, mode: str) -> Settings:
    file = folder / "edge.toml"
    file.write_text(LAB.read_text().replace("[media]", f'[media]\nmode = "{mode}"'))
    return load(file, {})


@pytest.mark.parametrize(
    ("mode", "told"),
    [
        ("auto", []),
        ("relay", []),
        ("kernel", ['media.mode = "kernel" falls back to "relay": no eBPF on Plan9 x86_64']),
    ],
)
def test_missing_ebpf_is_reported_only_for_mode_kernel(
    mode: str, told: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platform, "system", lambda: "Plan9")
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    assert missing(settings(tmp_path, mode)) == told


@pytest.mark.parametrize(
    ("mode", "kernel"), [("auto", True), ("kernel", True), ("relay", False), ("direct", False)]
)
def test_kernel_forwarding_is_wanted_in_modes_auto_and_kernel(
    mode: str, kernel: bool, tmp_path: Path
) -> None:
    assert wanted(settings(tmp_path, mode)) is kernel


def test_the_default_media_mode_is_auto() -> None:
    assert load(LAB, {}).media.mode == "auto"


@pytest.mark.network
@needs_kernel
def test_unsupported_routing_rules_are_reported_only_for_mode_kernel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert missing(settings(tmp_path, "kernel")) == []
    monkeypatch.setattr(host, "_BY_MORE", {15: "table"})  # every routing rule has a table
    assert missing(settings(tmp_path, "auto")) == []
    assert missing(settings(tmp_path, "kernel")) == [
        'media.mode = "kernel" falls back to "relay": a rule of routing goes by table (see `ip rule`)'
    ]
