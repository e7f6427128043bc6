"""What stands before an application's own path: WSGI's SCRIPT_NAME and ASGI's root_path mean the same.

Of a prefix, the part that the process itself mounts (a dispatcher, a `Mount`) belongs to the endpoint. What
comes from outside (the server's setting, a proxy's header, `FastAPI(root_path=…)`) is the root: the
conventions name a route with it, the classic profile without it.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, NamedTuple
from urllib.parse import unquote

from otel_obs.settings import process_environment

MOUNT = "/{mount}"
"""Stands for a path prefix that is no template and may be anything."""

MOST_MOUNTS = 32
"""Applications are mounted at a few places; a dispatcher that has one for each customer has no bound."""

_mounts: dict[str, str] = {}


class Prefix(NamedTuple):
    """A prefix in its two parts."""

    root: str = ""
    mount: str = ""


NO_PREFIX = Prefix()


def wsgi_prefix(environ: Mapping[str, Any]) -> Prefix:
    """The prefix of a WSGI application.

    Args:
        environ: The environ that the application got.
    """
    script: str = environ.get("SCRIPT_NAME", "")
    if not script:
        return NO_PREFIX
    outside = _server_prefix()
    if outside and (script + "/").startswith(outside + "/"):
        return Prefix(outside, _known(script[len(outside) :]))
    return Prefix("", _known(script)) if _is_received(environ, script) else Prefix(script)


def asgi_prefix(scope: Mapping[str, Any], given: Mapping[str, Any]) -> Prefix:
    """The prefix of an ASGI application, before the mounts that Starlette tells of.

    Args:
        scope: The scope that the application's router got.
        given: The scope that came from the server; often the same.
    """
    base: str = scope.get("app_root_path", scope.get("root_path", ""))
    if scope is given or not base:
        return Prefix(base)
    root: str = given.get("app_root_path", given.get("root_path", ""))
    if base == root or not base.startswith(root):
        return Prefix(base)
    # A layer in between has put something there: a dispatcher, a header, or the application's setting.
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
    """Where gunicorn and CGI are told what the application's prefix is."""
    return process_environment().get("SCRIPT_NAME", "").rstrip("/")


def _is_received(environ: Mapping[str, Any], script: str) -> bool:
    """Whether *script* is part of the path that the server got, or a proxy's header brought it."""
    raw = environ.get("RAW_URI") or environ.get("REQUEST_URI")
    if raw is None:
        return "werkzeug.proxy_fix.orig" not in environ
    received = unquote(raw.partition("?")[0], "latin-1")
    return bool(received == script + environ.get("PATH_INFO", ""))
