"""The node on HTTP: its metrics, its health and what it is doing."""
