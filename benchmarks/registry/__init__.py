"""Which measurements there are, and their records."""
