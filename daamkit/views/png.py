"""Images as PNG files, in memory."""

from __future__ import annotations

import base64
import io

import numpy as np
from PIL import Image


def png(image: Image.Image) -> bytes:
    """An image's file; what else came with the image is left behind."""
    buffer = io.BytesIO()
    Image.fromarray(np.asarray(image.convert("RGB"))).save(buffer, "PNG")
    return buffer.getvalue()


def data_uri(image: Image.Image) -> str:
    """The file as an address, for a page."""
    return "data:image/png;base64," + base64.b64encode(png(image)).decode()


def from_uri(uri: str) -> Image.Image:
    """The inverse of `data_uri`; nothing but PNG is decoded."""
    data = base64.b64decode(uri.partition("base64,")[2])
    return Image.open(io.BytesIO(data), formats=["PNG"])
