"""The stand-in of COCO: emoji, cut out and pasted on photographs, in the categories that emoji have."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from optathlon.tasks.coco.categories import CATEGORIES
from optathlon.tasks.coco.layout import TEST, TRAIN
from optathlon.tasks.coco.writing import Drawn, Picture, write_split
from optathlon.tasks.data import debian
from optathlon.tasks.data.dataset import Source
from optathlon.tasks.data.debian import Package
from optathlon.tasks.images import emoji
from optathlon.tasks.randomness import generator

STANDINS = {"ff805aabfbe4d5d8": 1}
"""Digest of the sources to N of "standin-N"."""
BACKGROUNDS = Package(
    "mate-backgrounds",
    "1.26.0-1",
    "pool/main/m/mate-backgrounds",
    "7bf4c2209f34b4f61ba6d24c8b58c28b361e82e4b943aae6d42c030169af9e04",
    "GPL-2+ and CC-BY-SA-4.0",
)
PHOTOGRAPHS = tuple(
    f"usr/share/backgrounds/mate/{name}.jpg"
    for name in ("abstract/Elephants", *(f"nature/{title}" for title in (
        "Aqua", "Blinds", "Dune", "FreshFlower", "Garden", "GreenMeadow", "LadyBird", "RainDrops", "Storm", "TwoWings",
        "Wood", "YellowFlower")))
)  # fmt: skip
UNSEEN = ("noto", "openmoji")
"""The vendors whose drawings the test alone shows."""
PICTURES = {TRAIN: 2000, TEST: 400}
WIDTH, HEIGHT = 320, 240
SMALLEST, LARGEST, FEWEST, MOST = 32, 150, 1, 6
DRAWN = 160  # pixels a side of an emoji before it is scaled down
VISIBLE = 0.4  # the least share of an object that others leave uncovered
OPAQUE = 128

EMOJI = {
    "person": ("person-walking", "man-walking", "woman-walking", "person-running", "man-standing", "woman-standing"),
    "bicycle": ("bicycle",),
    "car": ("automobile", "oncoming-automobile", "taxi", "sport-utility-vehicle"),
    "motorcycle": ("motorcycle", "motor-scooter"),
    "airplane": ("airplane", "small-airplane"),
    "bus": ("bus", "oncoming-bus", "trolleybus"),
    "train": ("train", "locomotive", "high-speed-train", "metro"),
    "truck": ("delivery-truck", "articulated-lorry", "pickup-truck"),
    "boat": ("sailboat", "speedboat", "motor-boat", "canoe"),
    "traffic light": ("vertical-traffic-light", "horizontal-traffic-light"),
    "stop sign": ("stop-sign",),
    "bird": ("bird", "duck", "eagle", "parrot"),
    "cat": ("cat", "cat-face"),
    "dog": ("dog", "dog-face", "poodle"),
    "horse": ("horse", "horse-face"),
    "sheep": ("ewe", "ram"),
    "cow": ("cow", "cow-face"),
    "elephant": ("elephant",),
    "bear": ("bear", "polar-bear"),
    "zebra": ("zebra",),
    "giraffe": ("giraffe",),
    "backpack": ("backpack",),
    "umbrella": ("umbrella", "umbrella-with-rain-drops", "closed-umbrella"),
    "handbag": ("handbag",),
    "tie": ("necktie",),
    "suitcase": ("luggage",),
    "frisbee": ("flying-disc",),
    "skis": ("skis",),
    "snowboard": ("snowboarder",),
    "sports ball": ("soccer-ball", "basketball", "volleyball", "american-football"),
    "kite": ("kite",),
    "baseball glove": ("softball", "baseball"),
    "skateboard": ("skateboard",),
    "surfboard": ("person-surfing", "man-surfing", "woman-surfing"),
    "tennis racket": ("tennis", "badminton"),
    "bottle": ("baby-bottle", "bottle-with-popping-cork", "lotion-bottle"),
    "wine glass": ("wine-glass",),
    "cup": ("hot-beverage", "teacup-without-handle", "cup-with-straw"),
    "fork": ("fork-and-knife",),
    "knife": ("kitchen-knife", "dagger"),
    "spoon": ("spoon",),
    "bowl": ("bowl-with-spoon", "steaming-bowl"),
    "banana": ("banana",),
    "apple": ("red-apple", "green-apple"),
    "sandwich": ("sandwich",),
    "orange": ("tangerine",),
    "broccoli": ("broccoli",),
    "carrot": ("carrot",),
    "hot dog": ("hot-dog",),
    "pizza": ("pizza",),
    "donut": ("doughnut",),
    "cake": ("birthday-cake", "shortcake"),
    "chair": ("chair",),
    "couch": ("couch-and-lamp",),
    "potted plant": ("potted-plant",),
    "bed": ("bed",),
    "toilet": ("toilet",),
    "tv": ("television",),
    "laptop": ("laptop",),
    "mouse": ("computer-mouse",),
    "keyboard": ("keyboard",),
    "cell phone": ("mobile-phone",),
    "book": ("open-book", "closed-book", "books"),
    "clock": ("alarm-clock", "mantelpiece-clock", "twelve-oclock"),
    "vase": ("amphora",),
    "scissors": ("scissors",),
    "teddy bear": ("teddy-bear",),
    "toothbrush": ("toothbrush",),
}
"""By COCO's name what emoji show it; the other twelve categories have none and stay without objects."""


class CutOut(NamedTuple):
    """An emoji without what lies around it: uint8 (height, width, 4), the last channel how opaque it is."""

    category: int
    pixels: np.ndarray


def write(folder: Path) -> list[Source]:
    """Write both splits; the packages that they are made of. DataError if one is absent."""
    emoji.renderer()
    grounds = _photographs()
    for number, (split, drawn) in enumerate(_cut_outs().items()):
        write_split(folder, split, 10_000_000 * number, CATEGORIES, _pictures(split, drawn, grounds))
    return [*emoji.sources(), BACKGROUNDS.source]


def _photographs() -> list[np.ndarray]:
    """The photographs, uint8 (height, width, 3), scaled to be little larger than a picture."""
    contents = debian.files(BACKGROUNDS, PHOTOGRAPHS)
    size = (2 * WIDTH, 2 * HEIGHT)
    return [np.asarray(Image.open(io.BytesIO(contents[name])).convert("RGB").resize(size)) for name in PHOTOGRAPHS]


def _cut_outs() -> Mapping[str, list[list[CutOut]]]:
    """By split the cut-outs of each category that has some."""
    drawings = {concept.name: concept.drawings for concept in emoji.concepts(1)}
    by_split: dict[str, list[list[CutOut]]] = {TRAIN: [], TEST: []}
    for number, name in CATEGORIES.items():
        icons = [(vendor, svg) for title in EMOJI.get(name, ()) for vendor, svg in drawings.get(title, {}).items()]
        for split, cut_outs in by_split.items():
            shown = [svg for vendor, svg in icons if (vendor in UNSEEN) == (split == TEST)]
            if shown:
                cut_outs.append([CutOut(number, _cut_out(svg)) for svg in shown])
    return by_split


def _cut_out(svg: str) -> np.ndarray:
    png = emoji.renderer().svg_to_bytes(svg_string=svg, width=DRAWN, height=DRAWN, skip_system_fonts=True)
    image = Image.open(io.BytesIO(bytes(png))).convert("RGBA")
    pixels = np.asarray(image)
    opaque = pixels[..., 3] >= OPAQUE
    rows, columns = np.nonzero(opaque.any(1))[0], np.nonzero(opaque.any(0))[0]
    return pixels[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _pictures(split: str, drawn: list[list[CutOut]], grounds: list[np.ndarray]) -> Iterator[Picture]:
    for index in range(PICTURES[split]):
        random = generator("coco", "standin", split, index)
        ground = grounds[random.integers(len(grounds))]
        top, left = random.integers(0, HEIGHT), random.integers(0, WIDTH)
        pixels = ground[top : top + HEIGHT, left : left + WIDTH][:, :: int(random.choice([1, -1]))].copy()
        masks: list[Drawn] = []
        for _ in range(random.integers(FEWEST, MOST + 1)):
            kind = drawn[random.integers(len(drawn))]
            masks = _pasted(pixels, kind[random.integers(len(kind))], masks, random)
        yield Picture(pixels, masks)


def _pasted(pixels: np.ndarray, cut_out: CutOut, before: list[Drawn], random: np.random.Generator) -> list[Drawn]:
    """The objects once `cut_out` lies on them somewhere in `pixels`, which changes; none if it would hide too much."""
    side = int(random.uniform(SMALLEST, LARGEST))
    height, width = cut_out.pixels.shape[:2]
    scale = side / max(height, width)
    size = max(1, round(scale * width)), max(1, round(scale * height))
    image = np.asarray(Image.fromarray(cut_out.pixels).resize(size))
    top, left = (int(random.integers(0, limit - length + 1)) for limit, length in ((HEIGHT, size[1]), (WIDTH, size[0])))
    place = (slice(top, top + size[1]), slice(left, left + size[0]))
    mask = np.zeros((HEIGHT, WIDTH), dtype=bool)
    mask[place] = image[..., 3] >= OPAQUE
    left_over = [drawn._replace(mask=drawn.mask & ~mask) for drawn in before]
    if any(new.mask.sum() < VISIBLE * old.mask.sum() for new, old in zip(left_over, before, strict=True)):
        return before
    opacity = image[..., 3:] / 255
    pixels[place] = (opacity * image[..., :3] + (1 - opacity) * pixels[place]).round()
    return [*left_over, Drawn(cut_out.category, mask, ("rle", "polygon")[len(before) % 2])]
