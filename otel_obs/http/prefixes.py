"""Splits the prefix of an application's path: WSGI's SCRIPT_NAME or ASGI's root_path.

The part that the process itself mounts (a dispatcher, a `Mount`) belongs to the endpoint. The part from
outside (the server's setting, a proxy's header, `FastAPI(root_path=…)`) is the root: the semantic conventions
name a route with it, the classic profile without it.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, NamedTuple
from urllib.parse import unquote

from otel_obs.settings import process_environment

MOUNT = "/{mount}"
"""The label for a prefix that has no template and no bounded set of values."""

MOST_MOUNTS = 32
"""How many mounts keep their own name: a dispatcher with a mount for each customer has no bound."""

_mounts: dict[str, str] = {}


class Prefix(NamedTuple):
    """The two parts of a prefix."""

    root: str = ""
    mount: str = ""


NO_PREFIX = Prefix()


def wsgi_prefix(environ: Mapping[str, Any]) -> Prefix:
    """The prefix of a WSGI application.

    Args:
        environ: The environ with which the application was called.
    """
    script: str = environ.get("SCRIPT_NAME", "")
    if not script:
        return NO_PREFIX
    outside = _server_prefix()
    if outside and (script + "/").startswith(outside + "/"):
        return Prefix(outside, _known(script[len(outside) :]))
    return Prefix("", _known(script)) if _is_received(environ, script) else Prefix(script)


def asgi_prefix(scope: Mapping[str, Any], given: Mapping[str, Any]) -> Prefix:
    """The prefix of an ASGI application, without the mounts that Starlette's routes have.

    Args:
        scope: The scope with which the application's router was called.
        given: The scope from the server; often the same object.
    """
    base: str = scope.get("app_root_path", scope.get("root_path", ""))
    if scope is given or not base:
        return Prefix(base)
    root: str = given.get("app_root_path", given.get("root_path", ""))
    if base == root or not base.startswith(root):
        return Prefix(base)
    # A middleware in between has extended it: a dispatcher, a proxy's header, or the application's setting.
    is_setting = getattr(scope.get("app"), "root_path", None) == base
    is_received = given.get("path", "").startswith(base)
    return Prefix(base) if is_setting or not is_received else Prefix(root, _known(base[len(root) :]))


def _known(mount: str) -> str:
    if not mount or mount == "/":
        return ""
    if len(_mounts) < MOST_MOUNTS:
        _mounts.setdefault(mount, mount.rstrip("/"))
    return _mounts.get(mount, MOUNT)


@cache
def _server_prefix() -> str:
    """The prefix from the environment variable of gunicorn and CGI."""
    return process_environment().get("SCRIPT_NAME", "").rstrip("/")


def _is_received(environ: Mapping[str, Any], script: str) -> bool:
    """Whether *script* is part of the path that the server received; else a proxy's header has set it."""
    raw = environ.get("RAW_URI") or environ.get("REQUEST_URI")
    if raw is None:
        return "werkzeug.proxy_fix.orig" not in environ
    received = unquote(raw.partition("?")[0], "latin-1")
    return bool(received == script + environ.get("PATH_INFO", ""))
