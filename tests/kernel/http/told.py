"""``told.py PORT FILE``: keep what is posted to this port, a JSON object a line, with the time."""

import json
import sys
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

PORT = 8099


class Handler(BaseHTTPRequestHandler):
    """Answers 200 once the line is written."""

    def do_POST(self) -> None:
        at = time.time()
        posted = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with Path(sys.argv[2]).open("a") as file:
            file.write(json.dumps({"at": at, **posted}) + "\n")
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


if __name__ == "__main__":
    HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
