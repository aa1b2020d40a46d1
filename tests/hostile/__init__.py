"""Hostile input of every kind, sent at two real nodes from outside, and what it did to them.

``python -m tests.hostile`` runs the catalogue, one kind after the other. Invariant: nothing here
looks into a node but through HTTP, Kafka, its files and what Linux counts of its process.
"""
