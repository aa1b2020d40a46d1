"""A partition under every fault that we can think of: the real classes on a modelled world.

``python -m tests.model`` runs many interleavings on all cores, and says how fast.
"""
