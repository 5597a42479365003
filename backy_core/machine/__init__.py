"""The machine as last seen, kept fresh by what the kernel announces."""
