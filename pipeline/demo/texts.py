"""The words around the demo's pictures: they tell of what is to be seen, often loosely, sometimes not at all."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from pipeline.demo.noise import Shot

#: One result's text as a search engine's JSON gives it: title, description (str), tags (list of str); any may lack.
Text = dict[str, str | list[str]]


@dataclass(frozen=True)
class Words:
    """What people write about a scene."""

    nouns: tuple[str, ...]  # name it
    traits: tuple[str, ...]  # go before a noun
    company: tuple[str, ...]  # come along with it, without naming it


WORDS: Final[dict[str, Words]] = {
    "bicycle": Words(
        ("bicycle", "bike", "cycle"), ("old", "vintage", "racing", "folding"), ("pedals", "spokes", "saddle", "ride")
    ),
    "motorcycle": Words(
        ("motorcycle", "motorbike", "bike"),
        ("fast", "classic", "custom", "heavy"),
        ("engine", "exhaust", "tank", "rider"),
    ),
    "car": Words(
        ("car", "sedan", "automobile"),
        ("used", "new", "compact", "sporty"),
        ("mileage", "four doors", "engine", "garage"),
    ),
    "bus": Words(
        ("bus", "coach", "city bus"),
        ("crowded", "red", "late", "school"),
        ("passengers", "bus stop", "route 12", "driver"),
    ),
    "corolla": Words(
        ("corolla", "flower", "blossom"),
        ("five-petalled", "bell-shaped", "pink", "wild"),
        ("petals", "botany", "sepals"),
    ),
    "daisy": Words(
        ("daisy", "daisies", "flower"),
        ("white", "spring", "fresh", "oxeye"),
        ("petals", "lawn", "yellow centre", "bloom"),
    ),
    "apple": Words(
        ("apple", "apples", "fruit"), ("red", "ripe", "crisp", "green"), ("orchard", "pie", "harvest", "cider")
    ),
    "orange": Words(
        ("orange", "oranges", "citrus fruit"), ("juicy", "sweet", "sliced", "Valencia"), ("juice", "peel", "vitamin C")
    ),
    "balloon": Words(
        ("balloon", "hot air balloon", "balloons"), ("striped", "colourful", "big"), ("basket", "festival", "burner")
    ),
    "parachute": Words(
        ("parachute", "chute", "parachutist"), ("open", "round", "military"), ("skydive", "jump", "landing", "canopy")
    ),
    "laptop": Words(
        ("laptop", "computer", "notebook"), ("new", "thin", "refurbished"), ("screen", "keyboard", "software", "desk")
    ),
    "logo": Words(("logo", "sign", "brand"), ("shiny", "official", "flat"), ("store", "sticker", "company", "design")),
    "face": Words(("portrait", "my sister", "friend"), ("smiling", "young", "happy"), ("party", "birthday", "selfie")),
    "tree": Words(("tree", "oak", "fir"), ("lonely", "tall", "autumn"), ("leaves", "forest", "walk", "nature")),
    "house": Words(("house", "cottage", "home"), ("cosy", "for sale", "country"), ("roof", "garden", "real estate")),
    "page": Words(("document", "chart", "report"), ("printed", "annual", "scanned"), ("pdf", "statistics", "text")),
    "pattern": Words(("pattern", "wallpaper", "fabric"), ("seamless", "striped", "dotted"), ("background", "vector")),
    "view": Words(("view", "scenery", "landscape"), ("quiet", "evening", "wide"), ("travel", "holiday", "weekend")),
}
_ENDINGS = ("", "", " - free stock photo", " | gallery", " for sale", " in the evening", " 2014", " (3)")
_CAMERA_TAGS = ("nikon", "canon", "macro", "2013", "flickr", "square", "hdr", "bokeh")
_FILE_NAMES = ("IMG_{:04d}", "DSC{:05d}", "P10{:05d}", "untitled {}")

_CAMERA_TITLE, _NO_TITLE, _NO_DESCRIPTION, _NO_TAGS = 0.12, 0.05, 0.3, 0.15  # shares of the results
_LOOSE = 0.2  # share of right results that do not name what they show
_LURE = 0.4  # share of wrong results that hold the words searched for


def write_text(rng: np.random.Generator, shot: Shot, query: str) -> Text:
    """The text of one result. Only flickr has tags; every key may be missing."""
    words = WORDS[shot.scene]
    lured = shot.kind == "other-sense" or (shot.kind != "right" and rng.random() < _LURE)
    names = words.company if rng.random() < _LOOSE else words.nouns
    text: Text = {}
    if rng.random() >= _NO_TITLE:
        text["title"] = _title(rng, words, names, query if lured else "")
    if rng.random() >= _NO_DESCRIPTION:
        about = f"{_one(rng, words.traits)} {_one(rng, names)} with {_one(rng, words.company)}"
        text["description"] = f"{about}. Found under {query}." if lured else f"{about}."
    if shot.source == "flickr" and rng.random() >= _NO_TAGS:
        tags = {_one(rng, names), *(_one(rng, words.company) for _ in range(2)), _one(rng, _CAMERA_TAGS)}
        text["tags"] = sorted(tags | ({query} if lured else set()))
    return text


def _title(rng: np.random.Generator, words: Words, names: tuple[str, ...], lure: str) -> str:
    if rng.random() < _CAMERA_TITLE:
        return _one(rng, _FILE_NAMES).format(rng.integers(1, 9999))
    title = " ".join(part for part in (lure, _one(rng, words.traits), _one(rng, names)) if part)
    return title.capitalize() + _one(rng, _ENDINGS)


def _one(rng: np.random.Generator, choices: tuple[str, ...]) -> str:
    return choices[rng.integers(len(choices))]
