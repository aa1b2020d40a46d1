"""The contract as code: typed events, their JSON Schemas and the codec. Knows nobody else."""
