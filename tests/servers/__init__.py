"""Finds the servers that tests use, and starts those that are missing."""
