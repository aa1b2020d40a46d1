"""A node's membership in the consumer group: poll loop, assignment, a lane per partition."""
