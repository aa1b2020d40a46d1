"""Generators of json/*.schema.json and asyncapi.yaml; in a checkout only, not in the wheel."""
