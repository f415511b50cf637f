"""What agents cost and may cost: prices, what is set aside for a call, what is spent, and caps on that."""
