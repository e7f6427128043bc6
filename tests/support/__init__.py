"""What tests of real servers share: processes, requests, samples, and a real Prometheus."""
