"""How much two maps share: `iou` and `ioa` of masks, and of maps from 0 to 1."""

from daamkit.maps.overlap import ioa, iou

__all__ = ["ioa", "iou"]
