"""Prometheus, Alertmanager and what else is there, run on this machine without Docker."""
