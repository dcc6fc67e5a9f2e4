"""Questions asked of a model, with controls and intervals; only the command line imports them."""
