"""Records of the dead-letters topic: selected, and published again where they came from."""
