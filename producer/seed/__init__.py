"""Generated exports: scenarios, their rows, and the words in them."""
