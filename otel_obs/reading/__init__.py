"""Pages of metrics of any Prometheus endpoint: fetch them, parse them, and find their syntax errors."""
