"""What otel_obs does in a process that belongs to the application: forks, signals, imports, threads."""
