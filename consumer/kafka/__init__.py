"""Kafka's side of the service: poller, lanes, assignment, transactions."""
