"""The Flask application, instrumented in code."""

import otel_obs
from tests.apps.plain_flask import app

otel_obs.instrument(app)
