"""The class catalogue: which classes there are, in which order, and what they are called."""

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import fsspec
import pyarrow as pa

from pipeline.crawl.files import CrawlFiles
from pipeline.crawl.metadata import lines, number
from pipeline.crawl.rows import CrawlError, Synset
from pipeline.crawl.settings import CrawlSettings
from pipeline.records import CLASSES

OWN_GLOSSES = "info/glosses.tsv"
OWN_NEAR_WORDS = "info/near_words.tsv"


@dataclass(frozen=True)
class Names:
    """What definition and lemma files say: by wnid, and the order of the classes where a catalogue fixes it."""

    glosses: dict[str, str]
    lemmas: dict[str, list[str]]
    order: list[str] | None = None
    near: dict[str, list[str]] = field(default_factory=dict)  # words, or wnids of related classes


def split_lemmas(written: str) -> list[str]:
    """The names in "tench, Tinca tinca"."""
    return [lemma for lemma in map(str.strip, written.split(",")) if lemma]


def read_names(files: CrawlFiles, settings: CrawlSettings) -> Names:
    """The definitions, lemmas and near words that the settings name, or that lie in the crawl.

    Raises:
        CrawlError: a line without a tab, a wnid named twice, or a CSV without the columns wnid, lemmas, gloss.
    """
    names = _read_catalogue(settings.catalogue) if settings.catalogue else Names({}, {})
    names.glosses.update(_own_or_outside(files, settings.definitions, OWN_GLOSSES))
    near = _own_or_outside(files, settings.near_words, OWN_NEAR_WORDS)
    names.near.update({wnid: split_lemmas(written) for wnid, written in near.items()})
    if settings.lemmas:
        found = _pairs(settings.lemmas, _outside_lines(settings.lemmas))
        names.lemmas.update({wnid: split_lemmas(written) for wnid, written in found.items()})
    return names


def read_outside(address: str) -> bytes:
    """A file that the settings name: the user's own, not the crawl's.

    Raises:
        CrawlError: it cannot be read.
    """
    try:
        with fsspec.open(address, "rb") as stream:
            data: bytes = stream.read()
    except OSError as error:
        raise CrawlError(address, f"cannot be read ({error})", "Correct the crawl's settings.") from None
    return data


def class_table(found: Sequence[Synset], names: Names) -> tuple[pa.Table, dict[str, int]]:
    """The catalogue (schema CLASSES) and the class_index of every label that the crawl uses.

    Args:
        found: the crawl's own classes in the crawl's own order.
        names: what other files say; its order, where there is one, decides. Labels that are all plain numbers, none
            of them a wnid of that order, are positions in it, from 0.

    Raises:
        CrawlError: a label that the catalogue's order does not know.
    """
    own = {synset.wnid: synset.lemmas for synset in found}
    order = list(own) if names.order is None else names.order
    known = {wnid: index for index, wnid in enumerate(order)}
    if own.keys().isdisjoint(known):
        known |= {str(index): index for index in range(len(order))}
    lost = [label for label in own if label not in known]
    if lost:
        raise CrawlError(
            "catalogue",
            f"no class {lost[0]!r} among its {len(order)}",
            "Add a line for it, or correct the crawl's label.",
        )
    lemmas = {wnid: names.lemmas.get(wnid) or own.get(wnid) or [wnid] for wnid in order}
    table = pa.table(
        {
            "class_index": range(len(order)),
            "wnid": order,
            "lemmas": list(lemmas.values()),
            "gloss": [names.glosses.get(wnid) for wnid in order],
            "near": [_near_words(names.near.get(wnid), lemmas) for wnid in order],
        },
        schema=CLASSES,
    )
    return table, {label: known[label] for label in own}


def named_by_labels(labels: Sequence[str]) -> list[Synset]:
    """Classes of a crawl that only has labels: in order of their number where all are numbers, else of their name."""
    numbered = all(number(label, 0, 2**31) is not None for label in labels)
    order = sorted(labels, key=lambda label: (int(label) if numbered else 0, label))
    return [Synset(label, [label.replace("_", " ")]) for label in order]


def _near_words(told: list[str] | None, lemmas: dict[str, list[str]]) -> list[str] | None:
    """The related words; a wnid of the catalogue stands for that class's lemmas."""
    return None if told is None else [word for one in told for word in lemmas.get(one, [one])]


def _own_or_outside(files: CrawlFiles, address: str | None, own: str) -> dict[str, str]:
    """What lines `wnid<TAB>text` say, of the user's file or else of the crawl's own, if it has one."""
    if address:
        return _pairs(address, _outside_lines(address))
    held = any(entry.path == own for entry in files.entries("info"))
    return _pairs(own, lines(files, own)) if held else {}


def _outside_lines(address: str) -> Iterator[tuple[int, str]]:
    written = read_outside(address).decode("utf-8-sig", "backslashreplace")
    return ((at, line) for at, line in enumerate(written.splitlines(), 1) if line)


def _pairs(file: str, numbered: Iterator[tuple[int, str]]) -> dict[str, str]:
    found: dict[str, str] = {}
    for at, line in numbered:
        wnid, tab, written = line.partition("\t")
        if not tab:
            raise CrawlError(file, f"{line[:40]!r} has no tab", "Write wnid<TAB>text on each line.", at)
        if wnid in found:
            raise CrawlError(file, f"{wnid} is named twice", "Remove one of the lines.", at)
        found[wnid] = written.strip()
    return found


def _read_catalogue(address: str) -> Names:
    written = read_outside(address).decode("utf-8-sig", "backslashreplace")
    reader = csv.DictReader(io.StringIO(written, newline=""))
    missing = {"wnid", "lemmas", "gloss"} - set(reader.fieldnames or ())
    if missing:
        raise CrawlError(address, f"no column {', '.join(sorted(missing))}", "Begin with wnid,lemmas,gloss.", 1)
    order: dict[str, None] = {}
    names = Names({}, {})
    for row in reader:
        wnid = (row["wnid"] or "").strip()
        if not wnid or wnid in order:
            raise CrawlError(address, f"wnid {wnid!r} is empty or named twice", "Give each class one.", reader.line_num)
        order[wnid] = None
        if lemmas := split_lemmas(row["lemmas"] or ""):
            names.lemmas[wnid] = lemmas
        if row["gloss"]:
            names.glosses[wnid] = row["gloss"].strip()
    return replace(names, order=list(order))
