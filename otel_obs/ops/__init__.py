"""What is made from the catalog: pages, and later dashboards and rules."""
