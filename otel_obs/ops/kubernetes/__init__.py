"""Kubernetes objects for a service and its monitoring, and the kustomizations that combine them."""
