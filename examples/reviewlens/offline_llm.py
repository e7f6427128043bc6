"""An OpenAI-compatible server that needs no network: three providers, and a model that quotes.

The model answers with those sentences of its instructions that share most words with the question.

    python offline_llm.py --port 8090        serves until it is ended
    python offline_llm.py COMMAND …          serves as long as the command runs, which finds the
                                             providers in GEMINI_URL, OPENAI_URL and CLAUDE_URL

`PUT /PROVIDER/outage` with `{"every": 3}` lets every third call of a provider fail until
`{"every": 0}`. A key that begins with `revoked` is refused.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from typing import Any, ClassVar

PROVIDERS = ("gemini", "openai", "claude")
SECONDS_PER_TOKEN = 0.0005

_TOKEN = re.compile(r"\s*(?:[A-Za-z0-9']+|\S)")
_WORD = re.compile(r"[a-z0-9']{3,}")


def tokens_of(text: str) -> list[str]:
    """The tokens of a text: words and signs, each with the space before it."""
    return _TOKEN.findall(text)


def answer_to(messages: list[dict[str, str]]) -> str:
    """What the model says to the last message, from the text of those before."""
    question = set(_WORD.findall(messages[-1]["content"].lower()))
    lines = [line for message in messages[:-1] for line in message["content"].splitlines()[1:] if line]
    ranked = sorted(lines, key=lambda line: -len(question.intersection(_WORD.findall(line.lower()))))
    return " ".join(ranked[:2]) or "There is nothing about that."


class Provider:
    """One provider: how many calls it has had, and every how manieth fails."""

    def __init__(self) -> None:
        self.fails_every = 0
        self._calls = count(1)

    def accepts(self) -> bool:
        """Whether the next call is answered."""
        number = next(self._calls)
        return not (self.fails_every and number % self.fails_every == 0)


class Handler(BaseHTTPRequestHandler):
    """Serves `/PROVIDER/v1/chat/completions`, `/PROVIDER/outage` and `/health`."""

    protocol_version = "HTTP/1.1"
    providers: ClassVar = {name: Provider() for name in PROVIDERS}

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing."""

    def do_GET(self) -> None:
        self._answer(200, {"status": "ok"})

    def do_PUT(self) -> None:
        provider, _, rest = self.path.strip("/").partition("/")
        body = self._read()
        if provider not in PROVIDERS or rest != "outage":
            return self._fail(404, f"there is no {self.path}")
        self.providers[provider].fails_every = int(body["every"])
        return self._answer(200, body)

    def do_POST(self) -> None:
        provider, _, rest = self.path.strip("/").partition("/")
        body = self._read()
        if provider not in PROVIDERS or rest != "v1/chat/completions":
            return self._fail(404, f"there is no {self.path}")
        if self.headers.get("Authorization", "").startswith("Bearer revoked"):
            return self._fail(401, "the key is not valid")
        if not self.providers[provider].accepts():
            return self._fail(503, f"{provider} is overloaded")
        answer = tokens_of(answer_to(body["messages"]))
        prompt = sum(len(tokens_of(message["content"])) for message in body["messages"])
        usage = {
            "prompt_tokens": prompt,
            "completion_tokens": len(answer),
            "total_tokens": prompt + len(answer),
        }
        if body.get("stream"):
            return self._stream(self._events(body["model"], answer, usage))
        time.sleep(SECONDS_PER_TOKEN * len(answer))
        message = {"role": "assistant", "content": "".join(answer)}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        return self._answer(
            200, {"object": "chat.completion", "model": body["model"], "choices": [choice], "usage": usage}
        )

    def _events(self, model: str, tokens: list[str], usage: dict[str, int]) -> Iterator[dict[str, Any]]:
        event = {"object": "chat.completion.chunk", "model": model}
        for token in tokens:
            time.sleep(SECONDS_PER_TOKEN)
            yield {**event, "choices": [{"index": 0, "delta": {"content": token}}]}
        yield {**event, "choices": [], "usage": usage}

    def _stream(self, events: Iterator[dict[str, Any]]) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for text in (*map(json.dumps, events), "[DONE]"):
            data = f"data: {text}\n\n".encode()
            self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.wfile.write(b"0\r\n\r\n")

    def _read(self) -> Any:
        return json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))) or b"{}")

    def _fail(self, status: int, reason: str) -> None:
        self._answer(status, {"error": {"message": reason}})

    def _answer(self, status: int, body: object) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


def run(command: list[str], url: str) -> int:
    """Run a command that finds the providers at *url*; its exit code."""
    urls = {f"{name.upper()}_URL": f"{url}/{name}/v1" for name in PROVIDERS}
    process = subprocess.Popen(command, env={**os.environ, **urls})
    signal.signal(signal.SIGTERM, lambda *_: process.terminate())
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal tells the command as well
    return process.wait()


def main() -> int:
    """Serve, for as long as a command runs or until the end."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--port", type=int, default=0, help="0, the default, takes any free one")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    options = parser.parse_args()
    server = ThreadingHTTPServer(("127.0.0.1", options.port), Handler)
    server.daemon_threads = True
    url = f"http://127.0.0.1:{server.server_address[1]}"
    if not options.command:
        print(f"serving {', '.join(PROVIDERS)} at {url}", flush=True)
        server.serve_forever()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return run(options.command, url)


if __name__ == "__main__":
    raise SystemExit(main())
