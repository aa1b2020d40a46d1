"""What the whole group has accepted and not finished."""
