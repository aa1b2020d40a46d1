"""Who may do what: roles, tokens, and the identity provider that vouches for people."""
