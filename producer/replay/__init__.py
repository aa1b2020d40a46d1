"""Recorded exports again, under new ids, as a load: read, paced, sent, followed and summed up."""
