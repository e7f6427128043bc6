"""Alerts, as tables: one row a rule, in the catalog's own names."""
