"""Websockets of WSGI applications, measured by replacing methods of the packages that upgrade a request.

The method that accepts a connection is replaced, so that an open connection is counted as one while it lasts.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from otel_obs.host.changes import Replacements
from otel_obs.http.nesting import MARK
from otel_obs.http.websocket import ABNORMAL, TOO_BIG, Talk, client_code
from otel_obs.http.wsgi_exchange import WsgiExchange

_changes = Replacements()


def watch_simple_websocket(module: Any) -> None:
    """Measure simple-websocket, on which flask-sock and Flask-SocketIO are built.

    Args:
        module: `simple_websocket.ws`.
    """
    _changes.make(module.Server, "__init__", _accepting)
    _changes.make(module.Base, "send", _sending_simply)
    _changes.make(module.Base, "receive", _receiving_simply)
    _changes.make(module.Base, "close", _closing_simply)


def watch_gevent_websocket(module: Any) -> None:
    """Measure gevent-websocket, which accepts a connection before the application is called.

    Args:
        module: `geventwebsocket.websocket`.
    """
    kind = module.WebSocket
    _changes.make(kind, "send", _sending)
    _changes.make(kind, "receive", _receiving)
    _changes.make(kind, "handle_close", _learning)
    _changes.make(kind, "close", _closing)


def restore() -> None:
    """Put the original methods back."""
    _changes.undo()


def note_acceptance(exchange: WsgiExchange, environ: Any) -> None:
    """Note that the server has accepted a connection before it called the application.

    The request counts as a websocket from its first use on: only then is its route known.
    """
    exchange.is_special = True
    exchange.upgraded = environ[_ENDING] = _GeventEnding(environ["wsgi.websocket"])


_ENDING = "otel_obs.websocket"
"""The key of the environ under which a connection's `_GeventEnding` is."""


def _accepting(init: Callable[..., None]) -> Callable[..., None]:
    def accepting(self: Any, environ: Any, *args: Any, **options: Any) -> None:
        init(self, environ, *args, **options)
        exchange = environ.get(MARK)
        if type(exchange) is WsgiExchange:
            ending = _SimpleEnding(self)
            talk = exchange.accept(ending)
            if talk is not None:
                ending.talk = talk
                setattr(self, _SIMPLE_ENDING, ending)

    return accepting


_SIMPLE_ENDING = "_otel_obs_ending"
"""The attribute of a connection of simple-websocket that has its `_SimpleEnding`."""


class _SimpleEnding:
    """Finds out how a connection of simple-websocket ends."""

    talk: Talk
    """Counts its messages."""

    def __init__(self, server: Any) -> None:
        self._server = server
        self.ours = ""
        """The code with which the application has closed, if it has."""
        self.is_broken = False
        """Whether a message could not be sent."""

    def is_over(self) -> bool:
        return self.is_broken or not self._server.connected

    def close_code(self) -> str:
        server = self._server
        if self.ours:
            return self.ours
        # Only a close frame changes the protocol's state; a connection that broke leaves it open.
        state = getattr(getattr(server.ws, "state", None), "name", "")
        if state == "OPEN":
            return str(ABNORMAL)
        # The application did not close (`ours`); the package itself does so only after too long a message.
        return str(TOO_BIG) if state == "LOCAL_CLOSING" else client_code(int(server.close_reason))

    def let_go(self) -> None:
        self._server = None


def _sending_simply(send: Callable[..., Any]) -> Callable[..., Any]:
    def sending(self: Any, *args: Any, **options: Any) -> Any:
        ending: _SimpleEnding | None = getattr(self, _SIMPLE_ENDING, None)
        try:
            result = send(self, *args, **options)
        except OSError:
            if ending is not None:
                ending.is_broken = True
            raise
        if ending is not None:
            ending.talk.sent(1)
        return result

    return sending


def _receiving_simply(receive: Callable[..., Any]) -> Callable[..., Any]:
    def receiving(self: Any, *args: Any, **options: Any) -> Any:
        ending: _SimpleEnding | None = getattr(self, _SIMPLE_ENDING, None)
        data = receive(self, *args, **options)
        if data is not None and ending is not None:
            ending.talk.received(1)
        return data

    return receiving


def _closing_simply(close: Callable[..., Any]) -> Callable[..., Any]:
    def closing(self: Any, reason: Any = None, message: Any = None) -> Any:
        result = close(self, reason, message)  # raises if the client has closed first; then its code counts
        ending: _SimpleEnding | None = getattr(self, _SIMPLE_ENDING, None)
        if ending is not None:
            ending.ours = ending.ours or str(int(reason or 1000))
        return result

    return closing


class _GeventEnding:
    """Finds out how a connection of gevent-websocket ends."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._code = ""
        self.reader: object = None
        """The greenlet that waits for a message."""
        self.is_broken = False
        """Whether a message could not be sent."""

    def note(self, code: str) -> None:
        """Note a close code; the first one counts."""
        self._code = self._code or code

    def is_over(self) -> bool:
        return self.is_broken or bool(self._connection.closed)

    def close_code(self) -> str:
        # The server closes a connection that is still open, with the code 1000.
        return self._code or str(ABNORMAL if self.is_over() else 1000)

    def let_go(self) -> None:
        self._connection = None


def _used(connection: Any) -> tuple[_GeventEnding | None, Talk | None]:
    """The ending and the talk of a connection that is being used; None where it is not measured or closed."""
    environ = connection.environ or {}
    exchange, ending = environ.get(MARK), environ.get(_ENDING)
    if ending is None or type(exchange) is not WsgiExchange:
        return None, None
    if exchange.talk is None:
        exchange.accept(ending)
    return ending, exchange.talk


def _sending(send: Callable[..., Any]) -> Callable[..., Any]:
    def sending(self: Any, *args: Any, **options: Any) -> Any:
        ending, talk = _used(self)
        try:
            result = send(self, *args, **options)
        except OSError:
            if ending is not None:
                ending.is_broken = True
            raise
        if talk is not None:
            talk.sent(1)
        return result

    return sending


def _receiving(receive: Callable[..., Any]) -> Callable[..., Any]:
    from gevent import getcurrent

    def receiving(self: Any) -> Any:
        ending, talk = _used(self)
        if ending is None or talk is None:
            return receive(self)
        ending.reader = getcurrent()
        try:
            data = receive(self)
        finally:
            ending.reader = None
        if data is not None:
            talk.received(1)
        return data

    return receiving


def _learning(handle_close: Callable[..., Any]) -> Callable[..., Any]:
    """Note the code of the client's close frame: the first two bytes of its payload."""

    def learning(self: Any, header: Any, payload: Any) -> Any:
        ending = (self.environ or {}).get(_ENDING)
        if ending is not None:
            ending.note(client_code(int.from_bytes(payload[:2], "big") if len(payload) > 1 else None))
        return handle_close(self, header, payload)

    return learning


def _closing(close: Callable[..., Any]) -> Callable[..., Any]:
    from gevent import getcurrent

    def closing(self: Any, code: int = 1000, message: Any = b"") -> Any:
        ending = None if self.closed else (self.environ or {}).get(_ENDING)
        if ending is not None:
            # Called by the greenlet that is waiting for a message: the package closes a broken connection,
            # also with the code 1000.
            is_broken = code == 1000 and ending.reader is getcurrent()
            ending.note(str(ABNORMAL if is_broken else code))
        return close(self, code, message)

    return closing
