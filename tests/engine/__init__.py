"""The engine over a store in memory, a publisher that records, and a clock that stands still."""
