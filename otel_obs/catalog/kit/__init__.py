"""The parts that the groups of the catalog are built from: kinds of metrics, naming, and recording."""
