"""Reads the template of the matched route from the scope or environ, where the framework has left it.

Routes are not matched a second time, so the cost does not grow with their number. Frameworks are recognised
by the keys and attributes that they leave; none is imported.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from otel_obs.http.prefixes import MOUNT

REMEMBERED = 1024
ALONE = "otel_obs.route"
"""The key of the scope for a route object that serves as the whole application; the value is a tuple."""

# Caches. An entry holds the list of routes, so that its id is not reused, and the list's length at that time:
# another length means that routes were added since.
_mounts: dict[tuple[int, str], tuple[Sequence[Any], int, Mounted]] = {}
_by_endpoint: dict[int, tuple[Sequence[Any], int, dict[int, list[Any]]]] = {}

Served = tuple[Mapping[str, Any], str]
"""The environ with which a WSGI application was called, and the rule that it matched."""

wsgi_sources: list[Callable[[object], Served | None]] = []
"""A function for each WSGI framework: given the request's `Outer`, it returns the route in use, or None."""


class Mounted(NamedTuple):
    """The mounts of a path: their templates joined, and the innermost mount."""

    prefix: str = ""
    innermost: Any = None


def asgi_route(scope: Mapping[str, Any], has_wsgi: bool = False, rule: str | None = None) -> str | None:
    """The path format of the route that Starlette, FastAPI or Litestar matched, after its mounts.

    Args:
        scope: The scope with which the innermost router was called, after the request.
        has_wsgi: Whether a WSGI application inside has matched the rest of the path.
        rule: The rule of that application, or of a framework that leaves none in the scope.
    """
    endpoint = scope.get("endpoint")
    if endpoint is None:
        return rule if rule is not None else _without_endpoint(scope)
    root = scope.get("root_path", "")
    base = scope.get("app_root_path", root)
    mounted = Mounted() if root == base else _mounted(_outermost(scope), root[len(base) :])
    if has_wsgi:
        return None if rule is None else mounted.prefix + rule
    route: str | None = scope.get("path_template") or rule or _matched(scope, endpoint, mounted)
    if route is None:
        route = _frontend(scope)
    if route is None:
        return None
    return mounted.prefix + route if mounted.prefix else route


def _without_endpoint(scope: Mapping[str, Any]) -> str | None:
    """The template from a routing object that sets no `endpoint` in the scope."""
    template: str | None = scope.get("path_template") or _frontend(scope)
    if template is None and "path_template" not in scope:
        template = _path_format(scope.get("route")) or None
    return template or None


def _frontend(scope: Mapping[str, Any]) -> str | None:
    """The template of FastAPI's `frontend()`, which leaves the part of the path below its mount point."""
    below = (scope.get("fastapi") or {}).get("frontend_path")
    if below is None:
        return None
    path: str = scope["path"]
    root: str = scope.get("root_path", "")
    path = path[len(root) :] if root and path.startswith(root) else path
    return path[: len(path) - len(below)].rstrip("/") + "/{path}"


def match_again(scope: Mapping[str, Any]) -> str | None:
    """Match the path again, for a routing object that has answered and left nothing in the scope.

    The cost grows with the number of routes, so call it only for a request that a route has answered.
    """
    if "endpoint" in scope or "router" not in scope:
        return None
    for route in _flat(_routes(scope["router"])):
        matches = getattr(route, "matches", None)
        if matches is not None and matches(scope)[0].name == "FULL":
            return _path_format(route) or None
    return None


def declares(owner: Any, path: str) -> bool:
    """Tell whether a Starlette application has a route or a mount of exactly *path*.

    A route with parameters, such as a catch-all, does not count, although it matches *path*.
    """
    wanted = path.rstrip("/")
    return any(str(getattr(route, "path", None)).rstrip("/") == wanted for route in _flat(_routes(owner)))


def mounted_applications(owner: Any) -> Iterator[Any]:
    """The applications that are mounted in a Starlette application, at any depth."""
    for route in _flat(_routes(owner), through_hosts=False):
        if _is_mount(route) or hasattr(route, "host_regex"):
            yield route.app
            yield from mounted_applications(route.app)


def _matched(scope: Mapping[str, Any], endpoint: Any, mounted: Mounted) -> str | None:
    """The path format within the innermost mount."""
    route = scope.get("route")
    included = scope.get("fastapi")
    if included:
        # Since FastAPI 0.137, the path of an included route lacks the prefix; this context has it.
        context = included.get("effective_route_context")
        if context is not None and (context.original_route is route or context.endpoint is endpoint):
            return _path_format(context.starlette_route or context)
        route = route or context
    if getattr(route, "endpoint", None) is endpoint:
        return _path_format(route)
    if mounted.innermost is not None and mounted.innermost.app is endpoint:
        return None if _routes(mounted.innermost) else "/{path}"
    for routes in (_routes(mounted.innermost), _routes(scope.get("app")), _outermost(scope)):
        found = _find(routes, endpoint, scope)
        if found is not None:
            return None if _is_mount(found) and _routes(found) else _path_format(found)
    if route is None or _is_mount(route) or hasattr(route, "host_regex"):
        return None
    return _path_format(route) or None


def _find(routes: Sequence[Any], endpoint: Any, scope: Mapping[str, Any]) -> Any:
    """Find the route of *endpoint*: before Starlette 1.0, the scope has the endpoint only."""
    known = _by_endpoint.get(id(routes))
    if known is None or known[0] is not routes or known[1] != len(routes):
        if len(_by_endpoint) >= REMEMBERED:
            _by_endpoint.clear()
        found: dict[int, list[Any]] = {}
        for route in _flat(routes):
            served = route.app if _is_mount(route) else getattr(route, "endpoint", None)
            found.setdefault(id(served), []).append(route)
        known = _by_endpoint[id(routes)] = routes, len(routes), found
    candidates = known[2].get(id(endpoint), [])
    if len(candidates) < 2:
        return candidates[0] if candidates else None
    path = scope["path"].removeprefix(scope.get("root_path", ""))
    return next((route for route in candidates if route.path_regex.match(path)), None)


def _mounted(routes: Sequence[Any], consumed: str) -> Mounted:
    """The mounts of *consumed*, the part of the path that the mounts have taken."""
    key = id(routes), consumed
    known = _mounts.get(key)
    if known is None or known[0] is not routes or known[1] != len(routes):
        if len(_mounts) >= REMEMBERED:
            _mounts.clear()
        known = _mounts[key] = routes, len(routes), _resolve(routes, consumed) or Mounted(MOUNT)
    return known[2]


def _resolve(routes: Sequence[Any], consumed: str) -> Mounted | None:
    for route in _flat(routes):
        match = route.path_regex.match(consumed + "/") if _is_mount(route) else None
        if match is None:
            continue
        prefix, rest = _path_format(route).removesuffix("/{path}"), match["path"].rstrip("/")
        if not rest:
            return Mounted(prefix, route)
        inner_routes = _routes(route)
        inside = _resolve(inner_routes, "/" + rest)
        if inside is not None:
            return Mounted(prefix + inside.prefix, inside.innermost)
        if not inner_routes:
            return Mounted(prefix + MOUNT)
    return None


def _is_mount(route: Any) -> bool:
    return hasattr(route, "path_regex") and hasattr(route, "app") and not hasattr(route, "endpoint")


def _flat(routes: Sequence[Any], through_hosts: bool = True) -> Iterator[Any]:
    """Every route, with those of included routers and, as a `Host` does not change the path, of hosts."""
    for route in routes:
        if hasattr(route, "effective_route_contexts"):
            yield from (context.starlette_route or context for context in route.effective_route_contexts())
        elif through_hosts and hasattr(route, "host_regex"):
            yield from _flat(_routes(route))
        else:
            yield route


def _routes(owner: Any) -> Sequence[Any]:
    """The routes of an application, also if middleware wraps it."""
    for _ in range(20):
        routes: Sequence[Any] | None = getattr(owner, "routes", None)
        if routes:
            return routes
        owner = getattr(owner, "app", None)
    return ()


def _outermost(scope: Mapping[str, Any]) -> Sequence[Any]:
    """The routes of the outermost router, or the one route that serves as the whole application."""
    alone: Sequence[Any] | None = scope.get(ALONE)
    return _routes(scope.get("router")) if alone is None else alone


def _path_format(route: Any) -> str:
    return str(getattr(route, "path_format", None) or getattr(route, "path", ""))
