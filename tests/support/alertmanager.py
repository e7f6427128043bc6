"""A real Alertmanager, and a webhook that receives what it sends."""

from __future__ import annotations

import json
import shutil
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.support.processes import Service

ALERTMANAGER = shutil.which("prometheus-alertmanager") or shutil.which("alertmanager")


class PageReceiver:
    """A webhook on a free loopback port; what it was sent is in `pages`."""

    def __init__(self) -> None:
        self.pages: list[dict[str, Any]] = []
        receiver = self

        class Hook(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                receiver.pages.append(body)
                self.send_response(200)
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                """Log nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Hook)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/"

    def alerts(self, name: str, status: str) -> list[dict[str, Any]]:
        """What was received of one alert: `firing` or `resolved`."""
        return [
            alert
            for page in list(self.pages)
            for alert in page["alerts"]
            if alert["labels"]["alertname"] == name and alert["status"] == status
        ]

    def __enter__(self) -> PageReceiver:
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def alertmanager_server(directory: Path, config: str) -> Service:
    """An Alertmanager that keeps its data in *directory*."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "alertmanager.yml").write_text(config)
    return Service(
        ALERTMANAGER or "alertmanager",
        "--config.file=alertmanager.yml",
        "--storage.path=data",
        "--web.listen-address=127.0.0.1:{port}",
        "--cluster.listen-address=",
        "--log.level=warn",
        cwd=directory,
        log_file=directory / "alertmanager.log",
        ready_path="/-/ready",
    )
