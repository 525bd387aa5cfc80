"""Emoji as pictures: the same few thousand concepts, each drawn by up to nine vendors, from npm's @iconify-json."""

from __future__ import annotations

import hashlib
import importlib.metadata
import io
import json
from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from optathlon.tasks.data.dataset import Source
from optathlon.tasks.data.npm import Package, files
from optathlon.tasks.errors import DataError

RENDERER = "resvg-py"
WITH_GROUPS = ("twemoji", "noto", "fluent-emoji-flat")
OTHER = "Other"
STANDINS = {"220964a27b817c63": 1}
"""Digest of the sources to N of "standin-N", of every data set that is drawn from all of them."""
SKIN_TONES = {"1f3fb", "1f3fc", "1f3fd", "1f3fe", "1f3ff"}
SETS = {
    name: Package(f"@iconify-json/{name}", version, integrity, licence)
    for name, version, licence, integrity in (
        ("twemoji", "1.2.5", "CC-BY-4.0",
         "uKpuIEV0v6K5BW3Mjdyl+XKFVAbbcPxAgifKvEMtZoUZB5+YiY5zaMm2uNNCxyXzAWU9yNLlj41WU6/mvgALsw=="),
        ("noto", "1.2.9", "Apache-2.0",
         "DQiuXENbun41ch+XPSV55H9FaWKpHTyz46YIKtSaKYD4fIDDzL1tR6H4np/T38jfrTAeI3rcKF0mqHYeZVAuaw=="),
        ("noto-v1", "1.2.5", "Apache-2.0",
         "/DsVMius69Q0fRS53z7QK1TROSuar606jiIx+laXtdsYGMXpf6LtHBx6CGfoo3UHHb/XpBsw+1L1x3eyPqMuVA=="),
        ("openmoji", "1.2.29", "CC-BY-SA-4.0",
         "vXdhkqcXVSO6suy+m9LbcUM3OdVyuNOtpV8/als/WqfkQIRxevL5Geb/g+6GH/Qwnq1OqksEmaDGTCmZ5nFKJQ=="),
        ("fluent-emoji", "1.2.7", "MIT",
         "D8G6bKAyIsyxP1rzZtIWr/gg/fO4Rg1+DyCWlfqKK4h8W+4Em/Y0P6QYgJUQTlUcagzJvSyg+9OBv4hz4Hc/QA=="),
        ("fluent-emoji-flat", "1.2.6", "MIT",
         "RY47RgPb47fYUiyrA64sIOL0+UU02s29sXpNBbIQRBUlPlfNFTKUmZDERGuxDs/7yNGWqQYvuaSYM1M4fRXlUw=="),
        ("emojione", "1.2.3", "CC-BY-4.0",
         "T9+T3HIbJNLKKsmxYKlaYhvnHYkz/HNYTV7SHCXVZPfeUi4FqskY70YeN8yYAZT8cCv7w5vJxS4Q1m8zb9CMMg=="),
        ("emojione-v1", "1.2.3", "CC-BY-SA-4.0",
         "UjI2VQEXVtGlPBvQuxEizro7QCgBcJDOYwKUupquvvZ8UV4xOlvm45IU82JYWegiAWLerY79gFLMZ26U6Ms+ww=="),
        ("fxemoji", "1.2.2", "Apache-2.0",
         "UAasRaxzFUKfIGSmLwnoarsssA4LX0VLLuEmplIqM6ZNQqIQRtav8tZ4H1neTlBreXuMQyAifr5jP4kn78DpiQ=="),
    )
}  # fmt: skip


class Concept(NamedTuple):
    """What one emoji shows: its code points, a name, its group ("Animals & Nature"), and by vendor an SVG."""

    codepoints: str
    name: str
    group: str
    drawings: Mapping[str, str]


def concepts(least: int) -> list[Concept]:
    """Every concept that `least` or more vendors draw, without skin tones, by code points.

    Art that stands for two concepts, as that of some territories' flags, is left out of both. DataError if a package
    cannot be fetched.
    """
    sets = {vendor: _Set(package) for vendor, package in SETS.items()}
    aligned = _aligned(sets)
    drawn = {key: {v: sets[v].svg(icon) for v, icon in icons.items()} for key, icons in aligned.items()}
    shown = Counter(svg for by_vendor in drawn.values() for svg in set(by_vendor.values()))
    selected = []
    for key, by_vendor in sorted(drawn.items()):
        unique = {vendor: by_vendor[vendor] for vendor in SETS if shown[by_vendor.get(vendor, "")] == 1}
        if len(unique) >= least and not SKIN_TONES & set(key.split("-")):
            selected.append(Concept(key, *_described(sets, aligned[key]), unique))
    return selected


def draw(concept: Concept, side: int, drawn_before: set[bytes]) -> dict[str, np.ndarray]:
    """By vendor the drawings of a concept, as `render`, without those that look exactly like one in `drawn_before`, the
    digests of drawings so far, to which the new ones are added."""
    images: dict[str, np.ndarray] = {}
    for vendor, svg in concept.drawings.items():
        pixels = render(svg, side)
        digest = hashlib.sha256(pixels.tobytes()).digest()
        if digest not in drawn_before:
            drawn_before.add(digest)
            images[vendor] = pixels
    return images


def render(svg: str, side: int) -> np.ndarray:
    """An SVG as uint8 pixels (side, side, 3) on white."""
    from PIL import Image

    png = renderer().svg_to_bytes(svg_string=svg, width=side, height=side, skip_system_fonts=True, background="#ffffff")
    return np.asarray(Image.open(io.BytesIO(bytes(png))).convert("RGB"))


def renderer() -> Any:
    """The module that turns SVG into PNG; DataError if it is not installed."""
    try:
        return importlib.import_module("resvg_py")
    except ImportError:
        raise DataError(
            f"emoji: drawing them needs the package {RENDERER}, which is not installed:"
            " `pip install 'optathlon[standins]'`"
        ) from None


def sources() -> list[Source]:
    """The packages that the pictures come from, and the renderer, which has a part in every pixel."""
    renderer()
    version = importlib.metadata.version(RENDERER)
    drawn_by = hashlib.sha256(f"{RENDERER} {version}".encode()).hexdigest()
    return [
        *(package.source for package in SETS.values()),
        Source(package=RENDERER, version=version, digest=drawn_by, licence="MPL-2.0"),
    ]


class _Set:
    """One vendor's icons, as Iconify's JSON has them."""

    def __init__(self, package: Package) -> None:
        contents = files(package, ["icons.json", "chars.json", "metadata.json"])
        self.all: dict[str, Any] = json.loads(contents["icons.json"])
        self.icons: dict[str, dict[str, Any]] = self.all["icons"]
        self.chars: dict[str, str] = json.loads(contents.get("chars.json", b"{}"))
        self.aliases = {a: v["parent"] for a, v in self.all.get("aliases", {}).items() if set(v) == {"parent"}}
        groups = json.loads(contents.get("metadata.json", b"{}")).get("categories", {})
        self.groups = {name: group for group, names in groups.items() for name in names}

    def svg(self, name: str) -> str:
        icon = self.icons[name]
        left, top, width, height = (
            icon.get(key, self.all.get(key, default))
            for key, default in (("left", 0), ("top", 0), ("width", 16), ("height", 16))
        )
        return (
            '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
            f' viewBox="{left} {top} {width} {height}">{icon["body"].replace("currentColor", "#000")}</svg>'
        )


def _aligned(sets: Mapping[str, _Set]) -> dict[str, dict[str, str]]:
    """By code points, each vendor's icon: from its own table where it has one, else by the icon's name."""
    with_table = [s for s in sets.values() if s.chars]
    named: dict[str, str] = {}
    for vendor in with_table:
        for codepoints, name in vendor.chars.items():
            named.setdefault(name, plain(codepoints))
    for vendor in with_table:
        for alias, parent in vendor.aliases.items():
            if parent in named:
                named.setdefault(alias, named[parent])
    aligned: dict[str, dict[str, str]] = defaultdict(dict)
    for label, vendor in sets.items():
        if vendor.chars:
            pairs = [(plain(codepoints), name) for codepoints, name in vendor.chars.items()]
        else:
            pairs = [(named[n], n) for n in vendor.icons if n in named]
            pairs += [(named[a], parent) for a, parent in vendor.aliases.items() if a in named]
        for key, name in pairs:
            if name in vendor.icons:
                aligned[key].setdefault(label, name)
    return aligned


def plain(codepoints: str) -> str:
    """Code points in lower case without the variation selector that not all vendors write."""
    return "-".join(part for part in codepoints.lower().split("-") if part != "fe0f")


def _described(sets: Mapping[str, _Set], icons: Mapping[str, str]) -> tuple[str, str]:
    """A name, and the group that the first vendor who has Unicode's nine puts it into."""
    known = [(icons[v], sets[v].groups[icons[v]]) for v in WITH_GROUPS if icons.get(v) in sets[v].groups]
    return known[0] if known else (next(iter(icons.values())), OTHER)
