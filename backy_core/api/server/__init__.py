"""An HTTP/1.1 server that limits the cost of every client.

h11 reads and writes the protocol, an ASGI application answers. The server has no HTTP/2, no
WebSocket and no other upgrade; it answers a request for one as a plain request.
"""
