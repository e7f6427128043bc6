"""The live page: charts of a service's metrics in a browser, without Prometheus or Grafana."""
