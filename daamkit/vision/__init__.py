"""Models that look at pictures: segmenters, CLIP, captioners; and masks that people drew."""
