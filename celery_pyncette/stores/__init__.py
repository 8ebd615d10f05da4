"""Stores: hand out what is ready, replace what nobody changed."""
