"""Generated encyclopedia articles, for tests: each is about one town, whose invented name comes again and again."""

from __future__ import annotations

import numpy as np

from optathlon.tasks.randomness import generator

ARTICLES = {"train": 600, "valid": 30, "test": 30}
FIRST = "Al Bar Cor Dun El Far Gal Har Ib Kel Lor Mar Nor Os Pel Quin Ros Sel Tor Ul Var Wes Yar Zel".split()  # noqa: SIM905
SECOND = "ach bek cote dale esk ford gate holm ira ket lund mere nock ora pool rick stad thorpe ulm wick".split()  # noqa: SIM905
SECTIONS = {
    "History": "It was {founded} in @year by the {people} , and its {walls} were {rebuilt} in @year .",
    "Economy": "The {trade} of @town employs @number people , most of them in {goods} .",
    "Geography": "The river @river flows {through} @town before it reaches the {sea} at @other .",
    "Culture": "The {month} festival of @town is known for its {goods} and its {walls} .",
}
CHOICES = {
    "founded": "founded built settled fortified",
    "people": "Romans Saxons monks merchants miners",
    "walls": "walls churches bridges towers markets",
    "rebuilt": "rebuilt destroyed sold restored",
    "trade": "trade industry harbour railway",
    "goods": "wool glass timber pottery cider salt",
    "through": "through past below around",
    "sea": "sea bay lake estuary",
    "month": "May June September October",
}


def articles() -> dict[str, list[list[str]]]:
    """Lines of words by split, in WikiText's form with blank lines between, the same on every machine."""
    return {
        split: [line for i in range(count) for line in _article(generator("wikitext-103", split, i))]
        for split, count in ARTICLES.items()
    }


def _article(random: np.random.Generator) -> list[list[str]]:
    names = {placeholder: _name(random) for placeholder in ("@town", "@river", "@other")}
    text = ["", f"= {names['@town']} =", "", _filled(random, "@town is a town on the @river , near @other .", names)]
    for section in random.permutation(list(SECTIONS))[: random.integers(2, len(SECTIONS) + 1)]:
        text += ["", f"= = {section} = =", "", _filled(random, SECTIONS[section], names)]
    return [line.split() for line in text]


def _filled(random: np.random.Generator, template: str, names: dict[str, str]) -> str:
    words = []
    for word in template.split():
        if word.startswith("{"):
            options = CHOICES[word[1:-1]].split()
            word = options[int(random.integers(len(options)))]
        elif word == "@year":
            word = str(int(random.integers(11, 20)) * 100 + int(random.integers(0, 20)) * 5)
        elif word == "@number":
            word = f"{random.integers(1, 10)} @,@ {random.integers(0, 10)}00"
        words.append(names.get(word, word))
    return " ".join(words)


def _name(random: np.random.Generator) -> str:
    """One of 480 names; the first ones, by the product of both syllables' places, are far more frequent."""
    first, second = (int(len(part) * random.random() ** 2) for part in (FIRST, SECOND))
    return FIRST[first] + SECOND[second]
