"""The program: command line, settings, HTTP and the node that composes the rest."""
