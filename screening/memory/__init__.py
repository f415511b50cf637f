"""What is kept of calls, and the lists that people keep: one database, SQLite or PostgreSQL."""
