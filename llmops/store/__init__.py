"""The database of record: SQLite in the home, or PostgreSQL."""
