"""Every format behaves alike."""
