"""Benchmarks, run by ``make bench``: contestants in turn, medians, CPU per entry; never part of the test run."""
