"""A machine in memory for the core's tests: strict, stateful, without a byte of data."""
