"""The dashboard: what it shows, how it looks, and the file it becomes."""
