"""Open exports: where decisions, formats and storage meet. Blocking code, run on threads."""
