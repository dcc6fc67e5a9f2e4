"""How the toybox's models are trained, from drawn scenes to the weights that ship."""
