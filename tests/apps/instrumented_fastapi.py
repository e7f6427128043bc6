"""The FastAPI application, instrumented in code."""

import otel_obs
from tests.apps.plain_fastapi import app

otel_obs.instrument(app)
