"""Checks of an endpoint: what is wrong with it, why that hurts, and the remedy."""
