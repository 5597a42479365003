"""Figures for Prometheus, made of what the agent knows already."""
