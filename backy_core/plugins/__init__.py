"""Backends and listeners: loading them, holding them to the rules, calling them."""
