"""Objects of Kubernetes for a service and what watches it, and the kustomizations that put them together."""
