"""Pushes metrics, spans and log records to exporters."""
