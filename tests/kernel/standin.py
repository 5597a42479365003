"""A stand-in for the agent, to test the lab without it: status, echo, a key, a stream.

Run inside a guest with the agent's environment (`BACKY_HOST`, `BACKY_PORT`).
"""

import http.server
import os
import time
from pathlib import Path

KEY = Path("/etc/backy/api-key")


class Handler(http.server.BaseHTTPRequestHandler):
    """GET answers status; /stream sends a line every 50 ms until the client leaves."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answer any path."""
        if self.path == "/stream":
            self._stream()
            return
        body = b'{"status": "Running"}'
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        """Send the body back."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _stream(self) -> None:
        self.send_response(200)
        self.end_headers()
        try:
            for number in range(10_000):
                self.wfile.write(f"data: {number}\n\n".encode())
                self.wfile.flush()
                time.sleep(0.05)
        except OSError:
            Path("/run/stream-ended").touch()
        self.close_connection = True


def main() -> None:
    """Make a key, say hello, serve."""
    if not KEY.exists():
        KEY.write_text(f"key-{os.urandom(8).hex()}\n")
        os.sync()
    print("stand-in is up", flush=True)
    address = (os.environ["BACKY_HOST"], int(os.environ["BACKY_PORT"]))
    http.server.ThreadingHTTPServer(address, Handler).serve_forever()


if __name__ == "__main__":
    main()
