"""Reading and writing one picture file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from optathlon.tasks.errors import DataError


def open_photo(path: Path) -> Image.Image:
    """The decoded photo in RGB; DataError if the file is missing, truncated or no image."""
    try:
        with Image.open(path) as image:
            return image.convert("RGB")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        what = "cannot be read" if isinstance(error, FileNotFoundError | PermissionError) else "is not a whole image"
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise DataError(f"{path} {what} ({reason}); fetch or unpack it again") from None


def save(path: Path, pixels: np.ndarray) -> None:
    """Write uint8 pixels (height, width, 3) as JPEG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, format="JPEG", quality=95)
