"""The nine classes: which of ImageNet's synsets make each (ReBias, datasets/imagenet.py). Needs no torch."""

from __future__ import annotations

SYNSETS: dict[str, tuple[str, ...]] = {
    "dog": ("n02085620", "n02099601", "n02106550", "n02106662", "n02110958"),
    "cat": ("n02123045", "n02123159", "n02123394", "n02123597", "n02124075"),
    "frog": ("n01641577", "n01644373", "n01644900"),
    "turtle": ("n01664065", "n01665541", "n01667114", "n01667778", "n01669191"),
    "bird": ("n01819313", "n01820546", "n01833805", "n01843383", "n01847000"),
    "monkey": ("n02486410", "n02487347", "n02488291", "n02488702", "n02492035"),
    "fish": ("n02607072", "n02640242", "n02641379", "n02643566", "n02655020"),
    "crab": ("n01978287", "n01978455", "n01980166", "n01981276"),
    "insect": ("n02174001", "n02177972", "n02190166", "n02206856", "n02219486"),
}
CLASSES = len(SYNSETS)
LABELS = {synset: label for label, synsets in enumerate(SYNSETS.values()) for synset in synsets}
IMAGENET_A = (
    *SYNSETS["dog"], *SYNSETS["bird"], *SYNSETS["insect"],
    "n02486410", "n02492035", "n02123394", "n01641577", "n01669191", "n02655020",
)  # fmt: skip
"""The 21 of the 42 synsets that ImageNet-A has; none of them is a crab."""
