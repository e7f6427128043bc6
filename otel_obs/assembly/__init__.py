"""How a process comes to measure: set-up as one transaction, applications, and what answers a scrape."""
