"""Finds, shows and removes code of an application that another library needs and otel_obs does not."""
