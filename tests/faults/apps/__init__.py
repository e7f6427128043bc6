"""Applications that are hurt."""
