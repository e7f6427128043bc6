"""What lives in a process that is not ours: forks, signal handlers, imports, threads."""
