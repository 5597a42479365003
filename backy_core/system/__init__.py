"""The only code that touches the machine: programs, block devices, mounts, processes, files."""
