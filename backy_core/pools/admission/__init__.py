"""Guards: they read and refuse, and change nothing."""
