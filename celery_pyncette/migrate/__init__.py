"""Readers of what other schedulers have left behind."""
