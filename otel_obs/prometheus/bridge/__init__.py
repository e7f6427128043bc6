"""`prometheus_client.bridge`: ways to other systems."""
