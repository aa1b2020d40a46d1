"""Designs that are broken on purpose, one thing each: the model has to notice every one.

Each is a fault that a service like this one had, or a line of this one taken out. Invariant: a
mutant changes the service or what it stands on, never the oracle.
"""

from tests.model.mutants import commits, deaths, owners, storage
from tests.model.mutants.registry import MUTANTS

__all__ = ["MUTANTS", "commits", "deaths", "owners", "storage"]
