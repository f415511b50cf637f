"""The call database: call history, notices and the user's lists, in SQLite or PostgreSQL (SQLAlchemy)."""
