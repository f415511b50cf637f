"""User agents: the core, which owns transactions and dialogs, and the leg, one dialog seen from our side."""
