"""The lab: a second kernel (User Mode Linux) in which tests and the demo run as root.

Host side: `guest.Guest` (a kernel, drives, a command channel) and `agent.AgentGuest` (the same with
the agent in it). Guest side: the package `inside`. From the shell: `python -m tests.kernel.lab`.
"""
