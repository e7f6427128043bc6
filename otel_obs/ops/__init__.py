"""Generators that use the catalog: documentation, configurations, rules and dashboards."""
