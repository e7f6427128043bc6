"""The application as ASGI; some servers want a plain name."""

from tests.services.apps.counted import make_asgi

app = make_asgi()
