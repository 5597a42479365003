"""HTTP/1.1 over sockets, within bounds: whatever clients send, what it costs is limited.

h11 reads and writes the protocol, an ASGI application answers. There is no HTTP/2, no WebSocket
and no other upgrade: a request for one is answered as the plain request that it also is.
"""
