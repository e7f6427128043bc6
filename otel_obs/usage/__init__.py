"""Which exposed metrics rules and dashboards use, and what series cost."""
