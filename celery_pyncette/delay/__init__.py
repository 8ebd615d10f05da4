"""The delay queue: messages with an ETA wait in the store, and not in a worker or a broker; see ``docs/delay.md``."""
