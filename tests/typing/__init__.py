"""Files that are never run: the type checkers read them."""
