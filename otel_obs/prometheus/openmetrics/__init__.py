"""`prometheus_client.openmetrics`: the format, written and read."""
