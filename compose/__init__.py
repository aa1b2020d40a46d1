"""What runs around a node: Prometheus and Grafana, as files and as code that writes them."""
