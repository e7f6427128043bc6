"""Runs Prometheus, Alertmanager and further installed parts on this machine, without Docker."""
