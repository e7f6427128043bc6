"""Django's routes."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse
from django.urls import include, path, re_path


def item(request: Any, number: int) -> HttpResponse:
    return HttpResponse(str(number))


async def later(request: Any, number: int) -> HttpResponse:
    return HttpResponse(str(number))


def boom(request: Any) -> HttpResponse:
    raise LookupError


urlpatterns = [
    path("items/<int:number>", item),
    path("slash/", boom),
    path("boom", boom),
    re_path(r"^years/(?P<number>[0-9]{4})/$", item),
    path("api/", include([path("later/<int:number>", later), re_path(r"^old/(\d+)$", item)])),
]
