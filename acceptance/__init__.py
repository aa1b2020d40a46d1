"""What a node has to show from outside: under load, as an acceptance, and over time."""
