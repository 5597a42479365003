"""The guest's side of the lab: first process, drives, command channel.

Standard library only and few imports: starting Python and a system call cost some ten times more
in User Mode Linux than on the host.
"""
