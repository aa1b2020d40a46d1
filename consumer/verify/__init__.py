"""Finished files checked against their manifests."""
