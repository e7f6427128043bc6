"""The same small service in every framework; nothing here knows of metrics."""

from __future__ import annotations

from typing import Any


def django_urls() -> None:
    """Set Django up, once, with this module's `urlpatterns`."""
    import django
    from django.conf import settings

    if not settings.configured:
        settings.configure(
            ROOT_URLCONF="tests.apps.django_urls",
            ALLOWED_HOSTS=["*"],
            SECRET_KEY="x",
            MIDDLEWARE=["django.middleware.common.CommonMiddleware"],
        )
        django.setup()


def django_wsgi() -> Any:
    from django.core.wsgi import get_wsgi_application

    django_urls()
    return get_wsgi_application()


def django_asgi() -> Any:
    from django.core.asgi import get_asgi_application

    django_urls()
    return get_asgi_application()


def quart() -> Any:
    from quart import Quart, websocket

    app = Quart("app")

    async def item(number: int) -> str:
        return str(number)

    async def boom() -> str:
        raise LookupError

    async def refused() -> str:
        raise KeyError("answered below")

    async def answer(error: Exception) -> tuple[str, int]:
        return "no", 409

    async def talk(number: int) -> None:
        await websocket.accept()
        raise LookupError

    app.add_url_rule("/items/<int:number>", "item", item)
    app.add_url_rule("/boom", "boom", boom)
    app.add_url_rule("/refused", "refused", refused)
    app.add_websocket("/talk/<int:number>", "talk", talk)
    app.register_error_handler(KeyError, answer)
    return app


def litestar() -> Any:
    from litestar import Litestar, Response, WebSocket, get, websocket

    @get("/items/{number:int}")
    async def item(number: int) -> str:
        return str(number)

    @get("/boom")
    async def boom() -> str:
        raise LookupError

    @get("/refused")
    async def refused() -> str:
        raise KeyError("answered below")

    @websocket("/talk/{number:int}")
    async def talk(socket: WebSocket[Any, Any, Any]) -> None:
        await socket.accept()
        raise LookupError

    def answer(request: Any, error: Exception) -> Response[str]:
        return Response("no", status_code=409)

    return Litestar([item, boom, refused, talk], exception_handlers={KeyError: answer})


class Item:
    """Falcon's, for WSGI."""

    def on_get(self, req: Any, resp: Any, number: int) -> None:
        resp.text = str(number)


class Boom:
    """Falcon's, for WSGI."""

    def on_get(self, req: Any, resp: Any) -> None:
        raise LookupError


class Refused:
    """Falcon's, for WSGI."""

    def on_get(self, req: Any, resp: Any) -> None:
        raise KeyError("answered below")


class AsyncRefused:
    """Falcon's, for ASGI."""

    async def on_get(self, req: Any, resp: Any) -> None:
        raise KeyError("answered below")


class AsyncItem:
    """Falcon's, for ASGI."""

    async def on_get(self, req: Any, resp: Any, number: int) -> None:
        resp.text = str(number)


class AsyncBoom:
    """Falcon's, for ASGI."""

    async def on_get(self, req: Any, resp: Any) -> None:
        raise LookupError


def falcon_wsgi() -> Any:
    import falcon

    app = falcon.App()
    app.add_route("/items/{number:int}", Item())
    app.add_route("/boom", Boom())
    app.add_route("/refused", Refused())

    def answer(req: Any, resp: Any, error: Exception, params: Any) -> None:
        resp.status = falcon.HTTP_409

    app.add_error_handler(KeyError, answer)
    return app


def falcon_asgi() -> Any:
    import falcon.asgi

    app = falcon.asgi.App()
    app.add_route("/items/{number:int}", AsyncItem())
    app.add_route("/boom", AsyncBoom())
    app.add_route("/refused", AsyncRefused())

    async def answer(req: Any, resp: Any, error: Exception, params: Any) -> None:
        resp.status = falcon.HTTP_409

    app.add_error_handler(KeyError, answer)
    return app


def _boom() -> str:
    raise KeyError


def bottle() -> Any:
    from bottle import Bottle

    app, inner = Bottle(), Bottle()
    app.get("/items/<number:int>", callback=lambda number: str(number))
    app.get("/boom", callback=_boom)
    inner.get("/x/<y>", callback=lambda y: y)
    app.mount("/sub/", inner)
    return app


def plain_wsgi() -> Any:
    def app(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [("Content-Length", "1")])
        return [b"x"]

    return app


def plain_asgi() -> Any:
    class App:
        def __call__(self, scope: Any, receive: Any, send: Any) -> Any:
            return self._serve(scope, receive, send)

        async def _serve(self, scope: Any, receive: Any, send: Any) -> None:
            if scope["type"] == "http":
                headers = [(b"content-length", b"1")]
                await send({"type": "http.response.start", "status": 200, "headers": headers})
                await send({"type": "http.response.body", "body": b"x"})

    return App()


def __getattr__(name: str) -> Any:
    """A server asks for an application by its name: `tests.apps.frameworks:quart_app`."""
    if name.endswith("_app"):
        app = globals()[name] = globals()[name.removesuffix("_app")]()
        return app
    raise AttributeError(name)


def aiohttp() -> Any:
    from aiohttp import web

    async def item(request: web.Request) -> web.Response:
        return web.Response(text=request.match_info["number"])

    async def boom(request: web.Request) -> web.Response:
        raise LookupError

    async def gone(request: web.Request) -> web.Response:
        raise web.HTTPGone

    async def stream(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for part in (b"a", b"b"):
            await response.write(part)
        return response

    async def talk(request: web.Request) -> web.WebSocketResponse:
        response = web.WebSocketResponse()
        await response.prepare(request)
        await response.send_str(await response.receive_str())
        await response.close(code=4001)
        return response

    app = web.Application()
    app.router.add_get(r"/items/{number:\d+}", item)
    app.router.add_get("/boom", boom)
    app.router.add_get("/gone", gone)
    app.router.add_get("/stream", stream)
    app.router.add_get("/talk", talk)
    inner = web.Application()
    inner.router.add_get("/{name}", gone)
    app.add_subapp("/sub", inner)
    return app


async def make_aiohttp() -> Any:
    return aiohttp()
