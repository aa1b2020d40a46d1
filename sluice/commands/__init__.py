"""One module per command or family of commands; ``sluice.cli`` lists them."""
