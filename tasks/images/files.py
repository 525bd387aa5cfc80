"""Reading and writing one picture file."""

from __future__ import annotations

import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image, TiffImagePlugin, WebPImagePlugin  # noqa: F401  # these two register themselves so

from optathlon.tasks.data.files import is_litter
from optathlon.tasks.errors import DataError, one_line

FORMATS = ("JPEG", "PNG", "GIF", "BMP", "PPM", "TIFF", "WEBP")
"""What photo collections hold, whatever their suffixes say; other decoders never see a damaged file."""
SUFFIXES = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")
"""By which torchvision's ImageFolder knows a photo."""
MOST_PIXELS = 89_478_485
"""Of a photo: beyond it Pillow warns, and a decoded one takes several times 360 MB."""
MOST_ELONGATED = 100
"""The longer side of a photo in units of the shorter one."""
DAMAGED = (
    OSError,
    SyntaxError,
    ValueError,
    LookupError,
    ArithmeticError,
    AttributeError,
    TypeError,
    EOFError,
    RuntimeError,
    MemoryError,
    struct.error,
    Image.DecompressionBombError,
)
"""What Pillow's decoders raise for damaged files."""

# Some of ImageNet's photos have EXIF blocks that Pillow cannot read; nothing here needs them. Of all else that it warns
# of, what matters is an error here that names the file.
warnings.filterwarnings("ignore", category=UserWarning, module="PIL")
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning, module="PIL")


def is_photo(name: str) -> bool:
    """Whether a file is a photo by its name's suffix, as for ImageFolder, and is no litter such as ._photo.jpg."""
    return not is_litter(name) and name.lower().endswith(SUFFIXES)


@contextmanager
def opening(path: Path) -> Iterator[Image.Image]:
    """An image file of which the head is read; DataError if it, or what is done with it, shows that it is missing,
    truncated or no image."""
    try:
        with Image.open(path, formats=FORMATS) as image:
            short, long = sorted(image.size)
            if long > MOST_ELONGATED * short:
                raise ValueError(f"it is {image.width} x {image.height} pixels, which is no photo's shape")
            if image.width * image.height > MOST_PIXELS:
                raise ValueError(f"it has {image.width} x {image.height} pixels; expected at most {MOST_PIXELS:,}")
            yield image
    except DataError:
        raise
    except DAMAGED as error:
        what = "cannot be read" if isinstance(error, FileNotFoundError | PermissionError) else "is not a whole image"
        reason = (isinstance(error, OSError) and error.strerror) or one_line(error) or type(error).__name__
        raise DataError(f"{path} {what} ({reason}); fetch or unpack it again") from None


def decode(image: Image.Image, smallest: tuple[int, int] | None = None) -> Image.Image:
    """The opened photo in RGB; gray, CMYK and palette pictures are converted.

    smallest: (width, height); a JPEG is then decoded to a half, a quarter or an eighth of its size as long as that is
    no smaller, which is faster.
    """
    if smallest is not None:
        image.draft("RGB", smallest)
    image.load()
    return image if image.mode == "RGB" else image.convert("RGB")


def open_photo(path: Path, smallest: tuple[int, int] | None = None) -> Image.Image:
    """The decoded photo in RGB, as `decode`, whatever the file's suffix says; DataError as `opening`."""
    with opening(path) as image:
        return decode(image, smallest)


def save(path: Path, pixels: np.ndarray) -> None:
    """Write uint8 pixels (height, width, 3) as JPEG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, format="JPEG", quality=95)
