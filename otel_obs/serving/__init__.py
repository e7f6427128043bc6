"""Answers scrapes: on the application's routes, or by a server of its own on a port or Unix socket."""
