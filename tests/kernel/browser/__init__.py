"""The dashboard in a real browser, against the agent in a guest."""
