"""aiokafka for both sides: what it lacks, and workarounds. Knows nothing of the contract."""
