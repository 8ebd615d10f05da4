"""Observers: they turn events into logs, metrics, health. Nothing flows back."""
