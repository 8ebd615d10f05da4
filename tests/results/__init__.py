"""Result-aware entries whose workers know nothing of the package: what beats learn from a result backend."""
