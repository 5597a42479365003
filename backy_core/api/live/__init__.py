"""Live events: what the replies of the API show, sent to clients as it changes."""
