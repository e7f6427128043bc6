"""Panels, as tables: one row a panel, in the catalog's own names."""
