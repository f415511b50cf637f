"""User agents: the core that owns transactions and dialogs, and the leg, one dialog seen from our side."""
