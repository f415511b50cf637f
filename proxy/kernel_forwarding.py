"""Sets up forwarding of audio in the kernel, if the settings ask for it."""

from __future__ import annotations

from proxy.assembly import media_addresses
from proxy.config import Settings
from proxy.media.kernel.bpf import KernelRefused
from proxy.media.kernel.forwarder import Forwarder


def wanted(settings: Settings) -> bool:
    """Whether the kernel should forward audio if it can."""
    return settings.media.mode in ("auto", "kernel")


def forwarder(settings: Settings) -> Forwarder:
    """Set up the kernel's forwarding between our media ports. Raises KernelRefused with a readable reason."""
    ports, binds = settings.media.ports, [bind for bind, _ in media_addresses(settings)]
    return Forwarder(ports.low, ports.high, binds)


def fallback_warning(settings: Settings, why: str) -> str | None:
    """Return a warning if the settings demand kernel forwarding, which failed because of `why`; else None."""
    if settings.media.mode != "kernel":
        return None
    return f'media.mode = "kernel" falls back to "relay": {why}'


def missing(settings: Settings) -> list[str]:
    """Return warnings for what the settings demand and this system or user does not have."""
    try:
        made = forwarder(settings) if settings.media.mode == "kernel" else None
    except KernelRefused as refused:
        why: str | None = str(refused)
    else:
        why = None if made is None else made.obstacle
        if made is not None:
            made.close()
    wrong = None if why is None else fallback_warning(settings, why)
    return [] if wrong is None else [wrong]
