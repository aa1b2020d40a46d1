"""A real Apache Kafka without Docker or a system Java, for demos and tests."""
