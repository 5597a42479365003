"""Use cases of a pool: what is asked of the agent, what it remembers, what it answers."""
