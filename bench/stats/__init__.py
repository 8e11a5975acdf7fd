"""These pure functions make figures of records."""
