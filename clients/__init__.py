"""aiokafka for both sides: what it lacks, and what has to be worked around. No contract."""
