"""What of an application's code another library needs, and otel_obs does not: found, shown, changed."""
