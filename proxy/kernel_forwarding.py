"""The kernel's part of relaying, as the settings want it."""

from __future__ import annotations

from proxy.assembly import homes
from proxy.config import Settings
from proxy.media.kernel.bpf import KernelRefused
from proxy.media.kernel.forwarder import Forwarder


def wanted(settings: Settings) -> bool:
    """Whether the kernel is to forward audio if it may."""
    return settings.media.mode in ("auto", "kernel")


def forwarder(settings: Settings) -> Forwarder:
    """Has the kernel forward between our media ports. Raises KernelRefused, in words for people."""
    ports, binds = settings.media.ports, [bind for bind, _ in homes(settings)]
    return Forwarder(ports.low, ports.high, binds)


def amiss(settings: Settings, why: str) -> str | None:
    """What is wrong if the kernel does not forward; None where that was not asked for by name."""
    if settings.media.mode != "kernel":
        return None
    return f'media.mode = "kernel" falls back to "relay": {why}'


def missing(settings: Settings) -> list[str]:
    """What the settings ask for by name and this system does not give to this user, a line each."""
    try:
        made = forwarder(settings) if settings.media.mode == "kernel" else None
    except KernelRefused as refused:
        why: str | None = str(refused)
    else:
        why = None if made is None else made.doubt
        if made is not None:
            made.close()
    wrong = None if why is None else amiss(settings, why)
    return [] if wrong is None else [wrong]
