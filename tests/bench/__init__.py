"""Benchmarks: the agent against the least that could do the same work, side by side in one run.

`python -m tests.bench` prints a table; figures are medians, and it is the ratios that count: both
sides of a row are measured in turns on the same machine, so its load meets both alike.
"""
