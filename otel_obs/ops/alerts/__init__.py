"""Tables of alerts: one row for each rule, in the catalog's names."""
