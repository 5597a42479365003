"""What the agent remembers across restarts, each in a file of its own."""
