"""Agent costs: prices, caps, reservations and the daily ledger."""
