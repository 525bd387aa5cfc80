"""Stand-ins from emoji: packages by pinned digest, concepts aligned by code points, no concept on both sides."""

from __future__ import annotations

import base64
import hashlib
import io
import os
import sys
import tarfile
from collections import Counter
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import numpy as np
import pytest

from optathlon import tasks
from optathlon.tasks.data import npm
from optathlon.tasks.data.dataset import build
from optathlon.tasks.data.npm import Package
from optathlon.tasks.errors import DataError
from optathlon.tasks.images import emoji
from optathlon.tasks.images.files import open_photo
from optathlon.tasks.retrieval import DATASETS
from optathlon.tasks.retrieval.datasets import cars, cub, inshop, sop, standin
from tests.tasks.packages import packages_or_skip


def tarball(**files: bytes) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(f"package/{name.replace('_', '.')}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return packed.getvalue()


def pinned(content: bytes) -> Package:
    return Package("@scope/art", "1.2.3", base64.b64encode(hashlib.sha512(content).digest()).decode(), "MIT")


@pytest.fixture
def empty_cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.delenv("OPTATHLON_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "optathlon/npm"


def test_a_package_is_fetched_from_the_registry_npm_is_told_to_use_and_kept(tmp_path, empty_cache, monkeypatch) -> None:
    content = tarball(icons_json=b"{}", README_md=b"no")
    served = tmp_path / "registry/@scope/art/-/art-1.2.3.tgz"
    served.parent.mkdir(parents=True)
    served.write_bytes(content)
    monkeypatch.setenv("NPM_CONFIG_REGISTRY", (tmp_path / "registry").as_uri())
    assert npm.files(pinned(content), ["icons.json", "chars.json"]) == {"icons.json": b"{}"}
    served.unlink()
    assert npm.files(pinned(content), ["README.md"]) == {"README.md": b"no"}
    kept = empty_cache / "scope-art-1.2.3.tgz"  # as `npm pack` names it
    assert kept.read_bytes() == content
    kept.write_bytes(b"damaged")
    with pytest.raises(DataError, match=r"art-1\.2\.3\.tgz cannot be fetched .*run `npm pack @scope/art@1\.2\.3`"):
        npm.files(pinned(content), ["icons.json"])


def test_a_connection_that_ends_early_is_told_as_a_failed_fetch(empty_cache, monkeypatch) -> None:
    class Short(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            self.wfile.write(b"half")

        def log_message(self, format: str, *args: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Short) as server:
        Thread(target=server.handle_request, daemon=True).start()
        monkeypatch.setenv("NPM_CONFIG_REGISTRY", f"http://127.0.0.1:{server.server_port}")
        with pytest.raises(DataError, match=r"cannot be fetched \(IncompleteRead.*run `npm pack"):
            npm.files(pinned(tarball(icons_json=b"{}")), ["icons.json"])


def test_a_package_of_another_digest_is_refused(tmp_path, empty_cache, monkeypatch) -> None:
    served = tmp_path / "@scope/art/-/art-1.2.3.tgz"
    served.parent.mkdir(parents=True)
    served.write_bytes(tarball(icons_json=b'{"icons": {}}'))
    monkeypatch.setenv("npm_config_registry", tmp_path.as_uri() + "/")
    with pytest.raises(DataError, match=r"bytes that are not @scope/art 1\.2\.3"):
        npm.files(pinned(tarball(icons_json=b"{}")), ["icons.json"])
    assert not empty_cache.exists()


def test_the_registry_is_that_of_the_environment_then_of_npmrc_then_the_public_one(tmp_path, monkeypatch) -> None:
    for name in [name for name in os.environ if name.lower() == "npm_config_registry"]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert npm.registry() == npm.REGISTRY
    (tmp_path / ".npmrc").write_text('fund=false\nregistry = "https://mirror.example/npm"\n')
    assert npm.registry() == "https://mirror.example/npm/"
    monkeypatch.setenv("NPM_CONFIG_REGISTRY", "https://other.example/")
    assert npm.registry() == "https://other.example/"


def test_without_the_renderer_the_standin_says_what_to_install(tmp_path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "resvg_py", None)
    with pytest.raises(DataError, match=r"needs the package resvg-py.*pip install 'optathlon\[standins\]'"):
        build(tasks.dataset("cub"), tmp_path, "standin")
    assert not list(tmp_path.iterdir())


@pytest.fixture(scope="module")
def concepts() -> list[emoji.Concept]:
    """The real art."""
    with packages_or_skip():
        emoji.renderer()
        return emoji.concepts(standin.FEW)


@pytest.mark.slow
def test_concepts_are_aligned_by_code_points(concepts) -> None:
    by_name = {concept.name: concept for concept in concepts}
    assert len(by_name) == len(concepts)
    assert sum(len(c.drawings) >= standin.MANY for c in concepts) > 800
    assert len({c.group for c in concepts}) == 9
    bear = by_name["bear"]
    assert (bear.codepoints, bear.group) == ("1f43b", "Animals & Nature")
    assert set(bear.drawings) >= {"twemoji", "noto", "openmoji", "fluent-emoji", "emojione"}
    assert not [c for c in concepts if emoji.SKIN_TONES & set(c.codepoints.split("-"))]
    assert set(Counter(svg for c in concepts for svg in set(c.drawings.values())).values()) == {1}
    pixels = emoji.render(bear.drawings["twemoji"], 64)
    assert pixels.shape == (64, 64, 3)
    assert pixels[0, 0].tolist() == [255, 255, 255]
    assert np.array_equal(pixels[32, 32] < 255, [True] * 3)


@pytest.mark.slow
def test_the_small_standins_have_no_concept_in_common(concepts, monkeypatch) -> None:
    monkeypatch.setattr(emoji, "concepts", lambda least: [c for c in concepts if len(c.drawings) >= least])
    monkeypatch.setattr(emoji, "render", lambda svg, side: np.frombuffer(svg.encode()[-64:].ljust(64), np.uint8))
    names = {name: [one.name for one in standin.classes(name)] for name in DATASETS}
    assert {name: len(found) == len(set(found)) for name, found in names.items()} == dict.fromkeys(DATASETS, True)
    assert (len(names["cub"]), len(names["cars"])) == (200, 196)
    assert len(names["inshop"]) > 400
    small = names["cub"] + names["cars"] + names["inshop"]
    assert len(small) == len(set(small))


@pytest.mark.slow
def test_the_standin_of_cub_has_whole_concepts_on_one_side_and_no_picture_twice(concepts, tmp_path) -> None:
    made = build(tasks.dataset("cub"), tmp_path, "standin")
    assert made.edition == "standin-1" or "resvg-py 0.5.0" not in made.verified
    splits = cub.read(tmp_path / "cub")
    assert splits.counts[2:] == (100, 100)
    photos = [*splits.train, *splits.query]
    folders = {p.label: p.path.parent.name for p in photos}
    assert len(set(folders.values())) == 200
    pictures = [open_photo(p.path).tobytes() for p in photos]
    assert len(set(pictures)) == len(pictures)
    assert min(Counter(p.label for p in photos).values()) >= 2
    classes = {line.split(maxsplit=1)[1] for line in (tmp_path / "cub" / cub.TREE / "classes.txt").open()}
    assert len(classes) == 200


def test_every_standin_has_one_edition_for_the_same_sources() -> None:
    assert {c.standins == emoji.STANDINS for c in (cub.Cub, cars.Cars, inshop.InShop, sop.Sop)} == {True}
