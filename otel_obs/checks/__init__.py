"""Whether an endpoint is good: what is wrong with it, why that hurts, and the remedy."""
