"""spaCy's CLEAR dependencies as Universal Dependencies, a file a kind of repair."""
