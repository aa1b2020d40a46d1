"""Access control: roles, tokens, and the identity provider."""
