"""A small shop with workers and customers, to see what otel_obs shows without a service of one's own."""
