"""Generated exports: scenarios, rows and word pools."""
