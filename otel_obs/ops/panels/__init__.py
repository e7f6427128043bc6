"""Tables of panels: one row for each panel, in the catalog's names."""
