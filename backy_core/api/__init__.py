"""The HTTP edge: translates requests into calls of the use cases, and answers into JSON.

It decides nothing. Where a pool stands, what may be done to it and why not is the use cases'
knowledge; here are only field names, status codes and headers.
"""
