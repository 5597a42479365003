"""Messages about pools to people: a listener of Backy."""

__version__ = "0.1.0"
