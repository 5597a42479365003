"""The whole agent on a fake machine, in a time of its own, with the faults that a seed chooses."""
