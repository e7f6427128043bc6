"""The application as WSGI; some servers want a plain name."""

from tests.services.apps.counted import make_wsgi

app = make_wsgi()
