"""A schema registry that answers whatever a test wants; left alone it takes every schema and gives it a GUID."""

from __future__ import annotations

import http.server
import json
import threading
import uuid
from types import TracebackType
from typing import Any, Self

GUID = uuid.UUID("89791762-2336-4186-9674-299b90a802e2")


class LyingRegistry:
    """Serves on loopback while the block runs. `answer` (status, body) is given to every request, if it is set."""

    def __init__(self, port: int = 0, *, answer: tuple[int, str] | None = None) -> None:
        self.answer = answer
        self.asked: list[tuple[str, str, str]] = []
        """Method, path and Authorization of every request."""
        lying = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                lying.reply(self, self.rfile.read(int(self.headers.get("Content-Length", 0))))

            do_POST = do_GET

            def log_message(self, format: str, *args: Any) -> None:
                """Nothing is said."""

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def reply(self, handler: http.server.BaseHTTPRequestHandler, sent: bytes) -> None:
        """What a request is given."""
        self.asked.append((handler.command, handler.path, handler.headers.get("Authorization", "")))
        status, text = self.answer or self._truth(handler.path, sent)
        handler.send_response(status)
        handler.send_header("Content-Type", "application/json")
        handler.end_headers()
        handler.wfile.write(text.encode())

    def _truth(self, path: str, sent: bytes) -> tuple[int, str]:
        if "/versions" in path and sent:
            return 200, json.dumps({"id": 7, "guid": str(GUID), "version": 1, **json.loads(sent)})
        return 404, json.dumps({"error_code": 40401, "message": "Subject not found."})

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
