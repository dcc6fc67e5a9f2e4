"""Words, their heat maps, and the runs they come from. Needs no model and no diffusers."""
