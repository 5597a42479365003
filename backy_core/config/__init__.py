"""The configuration: its sources, its errors, the tables of plugins."""
