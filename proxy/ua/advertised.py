"""Where we are, as others see it."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Advertised:
    """What the outside world uses to reach us."""

    host: str
    ports: dict[str, int] = field(default_factory=dict)
    """Port of our listener, by transport name."""
