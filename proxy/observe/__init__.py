"""What went over the wire: gathered call by call, kept without secrets, and shown."""
