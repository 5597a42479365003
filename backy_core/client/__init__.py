"""A typed client of the agent's HTTP API, over TCP or its Unix socket.

:mod:`calls` has each call as data, :class:`sync.Client` and :class:`aio.AsyncClient` send them.
"""
