"""What the groups of the catalog are made with: kinds of metrics, their names, and how they record."""
