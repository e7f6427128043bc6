"""What is made from the catalog: pages, configurations, rules and dashboards."""
