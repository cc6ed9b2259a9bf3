"""How to get into each kind of machine."""
