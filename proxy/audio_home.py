"""The address where audio is received, tried before there is a call."""

from __future__ import annotations

import socket

from proxy.transport.flow import TransportFailed


def check(local: str) -> None:
    """Raise TransportFailed for one that this machine does not have: there would be no port for any call."""
    family = socket.AF_INET6 if ":" in local else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as tried:
        try:
            tried.bind((local, 0))
        except OSError as error:
            why = error.strerror or str(error)
            raise TransportFailed(
                f"cannot receive audio on {local}: {why}: [media] bind is an address of this machine, "
                "or 0.0.0.0; what peers are told is [public] address"
            ) from error
