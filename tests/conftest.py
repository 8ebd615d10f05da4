"""Brings in the shared fixtures and the rule for missing servers; see tests/support."""

from __future__ import annotations

pytest_plugins = ["tests.support.fixtures", "tests.support.needs"]
