"""The pictures of the README, of a store with the quickstart: python benchmarks/pictures.py --store store

Screenshots of its page (chromium and chromedriver are needed) and figures of `optathlon plot`, as small PNG files.
"""

from __future__ import annotations

import argparse
import base64
import io
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.results.page.browser import Browser, chromium  # noqa: E402

SWEEP = "quickstart"
DESKTOP, PHONE = 860, 400
"""Widths of screens in pixels."""
SCREEN = 700
"""Height of a phone's."""
PLOT_WIDTH = 1000
COLORS = 256
FIGURES = {"curves": (), "differences": (), "ranks": (), "profiles": ("--of", "scores")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", type=Path, default=Path("store"), help="with the finished quickstart")
    parser.add_argument("--output", type=Path, default=ROOT / "docs" / "pictures", help="a folder")
    args = parser.parse_args()
    args.output.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        optathlon("report", SWEEP, "--output", str(folder / "report.html"), store=args.store)
        with chromium(folder / "profile") as browser:
            page(browser, folder / "report.html", args.output)
        for kind, options in FIGURES.items():
            file = folder / f"{kind}.png"
            optathlon("plot", kind, SWEEP, *options, "--output", str(file), store=args.store)
            image = Image.open(file)
            image.thumbnail((PLOT_WIDTH, PLOT_WIDTH))
            write(image, args.output / file.name)


def optathlon(*words: str, store: Path) -> None:
    subprocess.run([sys.executable, "-m", "optathlon", *words, "--store", str(store)], check=True)


def page(browser: Browser, file: Path, output: Path) -> None:
    """Writes the leaderboard as a desktop shows it, and three parts of the page as a phone does in the dark."""
    browser.open(file, width=DESKTOP)
    write(shot(browser, DESKTOP, 0, edge(browser, ".footnotes", "bottom")), output / "page.png")
    browser.open(file, width=PHONE, dark=True)
    tops = [0, edge(browser, "#section-board", "top"), edge(browser, "#section-over-tasks", "top")]
    write(beside([shot(browser, PHONE, top, SCREEN) for top in tops]), output / "page-phone.png")


def edge(browser: Browser, selector: str, side: str) -> float:
    """Where the first such element begins or ends, from the top of the page."""
    return browser.ask(f"document.querySelector({selector!r}).getBoundingClientRect().{side} + scrollY")


def shot(browser: Browser, width: int, top: float, height: float) -> Image.Image:
    # As high as the page: what lies beyond the window may not be painted yet.
    whole = browser.ask("document.documentElement.scrollHeight")
    browser.cdp(
        "Emulation.setDeviceMetricsOverride", width=width, height=whole, deviceScaleFactor=1, mobile=width == PHONE
    )
    clip = {"x": 0, "y": top, "width": width, "height": height, "scale": 1}
    picture = browser.cdp("Page.captureScreenshot", format="png", clip=clip)
    return Image.open(io.BytesIO(base64.b64decode(picture["data"])))


def beside(parts: list[Image.Image], gap: int = 16) -> Image.Image:
    sheet = Image.new(
        "RGB", (sum(part.width + gap for part in parts) - gap, max(part.height for part in parts)), "white"
    )
    left = 0
    for part in parts:
        sheet.paste(part, (left, 0))
        left += part.width + gap
    return sheet


def write(image: Image.Image, path: Path) -> None:
    """Writes a PNG of few colors, which is a third as large."""
    image.convert("RGB").quantize(COLORS, Image.Quantize.MAXCOVERAGE).save(path, optimize=True)
    print(f"{path}: {image.width} x {image.height}, {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
