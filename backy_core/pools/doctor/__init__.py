"""Whatever is wrong on the machine that an administrator should know of, with evidence."""
