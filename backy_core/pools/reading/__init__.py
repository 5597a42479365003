"""What is shown of a pool, from the snapshot, the metadata and the registry, without I/O."""
