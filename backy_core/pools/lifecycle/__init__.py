"""What changes a pool, from creation to deletion, and what settles an interrupted change."""
