"""The stand-in for Speech Commands: its 35 words spoken by eSpeak NG, as the package espeakng-loader bundles it.

eSpeak NG is a C library with global state, and what it says depends on what it said before. So the voices are dealt to
a fixed number of parts, and each part is spoken in one order by a fresh process: the same files for any number of
cores, and a crash of the library is not a crash of the caller.
"""

from __future__ import annotations

import ctypes
import hashlib
import importlib.metadata
import importlib.util
import multiprocessing
import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import numpy as np

from optathlon.tasks.audio.speech_commands.layout import NAME, SAMPLE_RATE, WORDS, write_clip, write_lists
from optathlon.tasks.audio.speech_commands.miniature import write_noise
from optathlon.tasks.data.dataset import Source
from optathlon.tasks.errors import DataError
from optathlon.tasks.randomness import generator

PACKAGES = {"espeakng_loader": "espeakng-loader", "soxr": "soxr"}
VOICES, PARTS = 80, 4
ACCENTS = ("en", "en-us", "en-gb-scotland", "en-gb-x-gbclan", "en-gb-x-rp", "en-gb-x-gbcwmd", "en-029")
VARIANTS = tuple(
    "Alex Alicia Andrea Andy Annie Denis Diogo Gene Gene2 Henrique Hugo Jacky Lee Marco Mario Michael Mike Nguyen"  # noqa: SIM905
    " Reed RicishayMax Storm adam anika announcer antonio aunty belinda benjamin boris caleb david ed edward edward2 f1"
    " f2 f3 f4 f5 grandma grandpa gustave ian iven iven2 iven3 iven4 john kaukovalta klatt klatt2 klatt3 klatt4 linda"
    " m1 m2 m3 m4 m5 m6 m7 m8 marcelo max michel miguel mike2 norbert pablo paul pedro quincy rob robert sandro shelby"
    " steph steph2 steph3 travis victor zac".split()
)

Say = Callable[[str, str, int, int], np.ndarray]


def write(tree: Path) -> list[Source]:
    """Write 80 voices x 35 words, the two lists and the background noise below `tree`; DataError if a package is absent
    or eSpeak NG fails."""
    sources = _sources()
    for word in WORDS:
        (tree / word).mkdir(parents=True)
    chosen = voices()
    parts = [(tree, chosen[part::PARTS]) for part in range(PARTS)]
    pool = ProcessPoolExecutor(
        min(PARTS, os.cpu_count() or 1), multiprocessing.get_context("spawn"), max_tasks_per_child=1
    )
    try:
        with pool:
            paths = [path for spoken in pool.map(_speak, parts) for path in spoken]
    except (BrokenProcessPool, OSError, RuntimeError) as error:
        raise DataError(
            f"{NAME}: eSpeak NG could not speak the stand-in ({error}); is espeakng-loader whole?"
        ) from error
    write_lists(tree, paths)
    write_noise(tree)
    return sources


def voices() -> list[str]:
    """The speakers, "accent+variant" as eSpeak NG names voices."""
    every = [f"{accent}+{variant}" for accent in ACCENTS for variant in VARIANTS]
    return [every[i] for i in generator("espeak", "voices").permutation(len(every))[:VOICES]]


def speaker(voice: str) -> str:
    """What stands for a voice in file names, as the official names have a hash for a speaker."""
    return hashlib.sha1(voice.encode()).hexdigest()[:8]


def _sources() -> list[Source]:
    for module, package in PACKAGES.items():
        if importlib.util.find_spec(module) is None:
            raise DataError(
                f"{NAME}: the stand-in needs the package {package}, which is not installed:"
                " `pip install 'optathlon[standins]'`"
            )
    import espeakng_loader

    library, data = Path(espeakng_loader.get_library_path()), Path(espeakng_loader.get_data_path())
    digest = hashlib.sha256()
    for path in [library, *sorted(p for p in data.rglob("*") if p.is_file())]:
        content = path.read_bytes()
        digest.update(f"{path.relative_to(library.parent).as_posix()}\0{len(content)}\0".encode() + content)
    version = importlib.metadata.version("espeakng-loader")
    return [Source(package="espeakng-loader", version=version, digest=digest.hexdigest(), licence="GPL-3.0-or-later")]


def _speak(part: tuple[Path, list[str]]) -> list[str]:
    """Speak every word in each voice of a part; returns the paths written. Runs in a process of its own."""
    tree, chosen = part
    say, rate = _start()
    paths = []
    for voice in chosen:
        manner = generator("espeak", voice)
        tempo, pitch = int(manner.integers(130, 200)), int(manner.integers(30, 70))
        for word in WORDS:
            random = generator("espeak", voice, word)
            spoken = say(word, voice, tempo + int(random.integers(-10, 11)), pitch + int(random.integers(-10, 11)))
            paths.append(f"{word}/{speaker(voice)}_nohash_0.wav")
            write_clip(tree / paths[-1], record(spoken, rate, random))
    return paths


def _start() -> tuple[Say, int]:
    """Load eSpeak NG: a function (text, voice, words a minute, pitch 0..100) -> int16 samples, and its sample rate."""
    import espeakng_loader

    library = ctypes.CDLL(espeakng_loader.get_library_path())
    heard: list[np.ndarray] = []

    @ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)
    def listen(samples, count, _events):
        if samples and count > 0:
            heard.append(np.ctypeslib.as_array(samples, (count,)).copy())
        return 0

    synchronous, tempo_, volume_, pitch_ = 2, 1, 2, 3
    rate = library.espeak_Initialize(synchronous, 0, espeakng_loader.get_data_path().encode(), 0)
    if rate <= 0:
        raise RuntimeError(f"espeak_Initialize returned {rate}")
    library.espeak_SetSynthCallback(listen)
    library.espeak_ng_SetRandSeed(ctypes.c_long(1))

    def say(text: str, voice: str, tempo: int, pitch: int) -> np.ndarray:
        heard.clear()
        if library.espeak_SetVoiceByName(voice.encode()):
            raise RuntimeError(f"there is no voice {voice!r}")
        for parameter, value in ((tempo_, tempo), (volume_, 100), (pitch_, pitch)):
            library.espeak_SetParameter(parameter, value, 0)
        content = text.encode() + b"\0"
        library.espeak_Synth(content, ctypes.c_size_t(len(content)), 0, 1, 0, 1, None, None)
        library.espeak_Synchronize()
        if not heard:
            raise RuntimeError(f"voice {voice!r} said nothing for {text!r}")
        return np.concatenate(heard)

    say.listen = listen  # type: ignore[attr-defined]  # the library keeps only the address
    return say, rate


def record(spoken: np.ndarray, rate: int, random: np.random.Generator) -> np.ndarray:
    """What a microphone would have kept: the speech alone at a random level and place in one second (one in ten is
    shorter), over faint noise; floats at 16 kHz."""
    import soxr

    sound = soxr.resample(spoken / 32768.0, rate, SAMPLE_RATE)
    loud = np.flatnonzero(np.abs(sound) > 0.01 * np.abs(sound).max())
    sound = sound[loud[0] : loud[-1] + 1][:SAMPLE_RATE]
    length = SAMPLE_RATE if random.random() < 0.9 else int(random.integers(len(sound), SAMPLE_RATE + 1))
    level = random.uniform(0.1, 0.9)
    clip = level * 10 ** random.uniform(-2.5, -1.5) * 0.2 * random.standard_normal(length)
    start = int(random.integers(0, length - len(sound) + 1))
    clip[start : start + len(sound)] += level * sound / np.abs(sound).max()
    return clip
