"""The kernel's part of relaying, as the settings want it."""

from __future__ import annotations

from proxy.assembly import homes
from proxy.config import Settings
from proxy.media.kernel.bpf import KernelRefused
from proxy.media.kernel.forwarder import Forwarder


def forwarder(settings: Settings) -> Forwarder:
    """Has the kernel forward between our media ports. Raises KernelRefused, in words for people."""
    ports, binds = settings.media.ports, [bind for bind, _ in homes(settings)]
    try:
        return Forwarder(ports.low, ports.high, binds)
    except KernelRefused as refused:
        raise KernelRefused(f'media.mode = "kernel" falls back to "relay": {refused}') from refused


def missing(settings: Settings) -> list[str]:
    """What the settings ask for and this system does not give to this user, a line each."""
    if settings.media.mode == "kernel":
        try:
            forwarder(settings).close()
        except KernelRefused as refused:
            return [str(refused)]
    return []
