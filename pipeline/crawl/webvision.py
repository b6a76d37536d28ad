"""The layout of WebVision 1.0 and 2.0: lists in `info/`, one JSON of texts per query (arXiv:1708.02862)."""

import functools
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from itertools import repeat, zip_longest
from pathlib import PurePosixPath
from typing import Final, NamedTuple

from pipeline.crawl.catalogue import split_lemmas
from pipeline.crawl.files import CrawlFiles, DefectError
from pipeline.crawl.metadata import DOCUMENT_LIMIT, lines, number, parse_json, tags, text
from pipeline.crawl.rows import Contents, CrawlError, Query, Row, Synset, Text
from pipeline.records import Split

INFO: Final = "info"
_SYNSETS: Final = f"{INFO}/synsets.txt"
_MAP: Final = f"{INFO}/queries_synsets_map.txt"
_MOST: Final = 2**31 - 1


class _TrainList(NamedTuple):
    source: str | None  # None: the union of all sources
    pictures: str
    metadata: str | None


class _Json(NamedTuple):
    query_id: int | None
    first: int  # number of its first text among all texts of the crawl
    entries: int


def read(files: CrawlFiles) -> Contents:
    """The crawl below `files`, which holds `info/`.

    `*_all.txt` is the union of the lists per source, and read only where there are none. A query's number is that of
    its JSON `qNNNN.json`, or without meta lists that of the picture's folder; the rank is the position in the JSON.

    Raises:
        CrawlError: a file of `info/` is missing or inconsistent. The iterators raise it too, while they are read.
    """
    present = {entry.path for entry in files.entries(INFO)}
    train_lists = _train_lists(present)
    synsets = _synsets(files)
    queries = _queries(files, present, synsets)
    odd: Counter[str] = Counter()
    notes: list[str] = []
    documents: dict[str, _Json] = {}
    return Contents(
        rows=_rows(files, train_lists, present, [synset.wnid for synset in synsets], documents, notes),
        texts=_texts(files, train_lists, documents, odd),
        synsets=synsets,
        queries=queries,
        odd=odd,
        notes=notes,
    )


def _train_lists(present: set[str]) -> list[_TrainList]:
    pattern = re.compile(rf"{INFO}/train_filelist_(.+)\.txt")
    sources = {found[1]: path for path in sorted(present) if (found := pattern.fullmatch(path))}
    if not sources:
        raise CrawlError(
            f"{INFO}/train_filelist_*.txt", "missing info file", "Put the lists of training pictures there."
        )
    if len(sources) > 1:
        sources.pop("all", None)
    found_lists = []
    for source, pictures in sources.items():
        metadata = f"{INFO}/train_meta_list_{source}.txt"
        named = None if source == "all" else source
        found_lists.append(_TrainList(named, pictures, metadata if metadata in present else None))
    return found_lists


def _synsets(files: CrawlFiles) -> list[Synset]:
    found: dict[str, Synset] = {}
    for at, line in lines(files, _SYNSETS):
        wnid, _, lemmas = line.strip().partition(" ")
        if wnid in found:
            raise CrawlError(_SYNSETS, f"{wnid} is listed twice", "Remove one of the lines.", at)
        found[wnid] = Synset(wnid, split_lemmas(lemmas) or [wnid])
    if not found:
        raise CrawlError(_SYNSETS, "no class in it", "Write `wnid lemma, lemma` on each line.")
    return list(found.values())


def _queries(files: CrawlFiles, present: set[str], synsets: list[Synset]) -> list[Query]:
    named = sorted(path for path in present if re.fullmatch(rf"{INFO}/queries.*\.txt", path) and path != _MAP)
    if not named and _MAP not in present:
        return []
    if not named or _MAP not in present:
        raise CrawlError(
            f"{INFO}/queries*.txt" if _MAP in present else _MAP,
            "missing info file",
            "Put it there, or remove both the queries and their map.",
        )
    texts: dict[int, str] = {}
    for path in named:
        for at, line in lines(files, path):
            written, _, term = line.strip().partition(" ")
            # Sources spell one query in their own ways: the first list's spelling stands.
            texts.setdefault(_checked(path, at, written, 0, _MOST, "query id"), term.strip())
    found: dict[int, Query] = {}
    for at, line in lines(files, _MAP):
        written, _, position = line.strip().partition(" ")
        query_id = _checked(_MAP, at, written, 0, _MOST, "query id")
        label = synsets[_checked(_MAP, at, position.strip(), 1, len(synsets), "class index") - 1].wnid
        if query_id in found:
            raise CrawlError(_MAP, f"query {query_id} is mapped twice", "Remove one of the lines.", at)
        if query_id not in texts:
            raise CrawlError(_MAP, f"query {query_id} is in none of {', '.join(named)}", "Add its line `id text`.", at)
        found[query_id] = Query(query_id, label, texts[query_id])
    return list(found.values())


def _checked(file: str, at: int, written: str, low: int, high: int, what: str) -> int:
    found = number(written, low, high)
    if found is None:
        raise CrawlError(
            file, f"{what} {written[:40]!r} is out of range", f"It must be a whole number from {low} to {high}.", at
        )
    return found


def _texts(
    files: CrawlFiles, train_lists: list[_TrainList], documents: dict[str, _Json], odd: Counter[str]
) -> Iterator[Text]:
    """Every entry of every JSON that a meta list names, each JSON parsed once; fills `documents`."""
    mentions: dict[str, tuple[str, int]] = {}
    for train in train_lists:
        for at, line in lines(files, train.metadata) if train.metadata else ():
            mentions.setdefault(line.rpartition(" ")[0], (train.metadata or "", at))
    first = 0
    for path in sorted(mentions):
        file, at = mentions[path]
        try:
            entries = parse_json(files.read(path, DOCUMENT_LIMIT), path)
        except DefectError as defect:
            raise CrawlError(file, f"{path!r}: {defect}", "Put the JSON file there, or correct the list.", at) from None
        if not isinstance(entries, list):
            raise CrawlError(path, "no list of results", "It must be a list of {title, description, tags}.", 1)
        documents[path] = _Json(_query_id(PurePosixPath(path).stem), first, len(entries))
        for offset, entry in enumerate(entries):
            if isinstance(entry, dict):
                title = text(entry.get("title"), odd, "title")
                description = text(entry.get("description"), odd, "description")
                yield Text(first + offset, title, description, tags(entry.get("tags"), odd))
            else:
                odd["entry"] += 1
        first += len(entries)


def _query_id(name: str) -> int | None:
    return number(name[1:], 0, _MOST) if name.startswith("q") else None


def _rows(
    files: CrawlFiles,
    train_lists: list[_TrainList],
    present: set[str],
    wnids: list[str],
    documents: dict[str, _Json],
    notes: list[str],
) -> Iterator[Row]:
    exists = _existence(files)
    for train in train_lists:
        _check_points_somewhere(files, train.pictures, [""], exists)
        yield from _train_rows(files, train, wnids, documents)
    clean: tuple[Split, ...] = ("val", "test")
    for split in clean:
        path = f"{INFO}/{split}_filelist.txt"
        if path not in present:
            continue
        if not _labelled(files, path):
            notes.append(f"{path} has no labels: left out")
            continue
        folders = [e.path for e in files.entries() if e.size is None and e.path.startswith(f"{split}_images")]
        folder = _check_points_somewhere(
            files, path, [*sorted(folders, key=lambda name: (len(name), name)), ""], exists
        )
        for at, name, index in _pictures(files, path, len(wnids)):
            yield Row(f"{folder}/{name}" if folder else name, wnids[index], split, path, at)


def _train_rows(files: CrawlFiles, train: _TrainList, wnids: list[str], documents: dict[str, _Json]) -> Iterator[Row]:
    pictures = _pictures(files, train.pictures, len(wnids))
    pairs: Iterable[tuple[tuple[int, str, int] | None, tuple[int, str] | None]]
    pairs = zip_longest(pictures, lines(files, train.metadata)) if train.metadata else zip(pictures, repeat(None))
    for picture, described in pairs:
        if picture is None or (described is None and train.metadata):
            at = (described or picture or (None,))[0]
            raise CrawlError(
                f"{train.pictures} and {train.metadata}",
                f"{'the first' if picture is None else 'the second'} ends before the other",
                "They must have one line per picture, in the same order.",
                at,
            )
        at, path, index = picture
        source = train.source or (path.partition("/")[0] if "/" in path else None)
        row = Row(path, wnids[index], "train", train.pictures, at, source)
        if described is None:
            yield row._replace(query_id=_query_id(PurePosixPath(path).parent.name))
        else:
            document, rank = _position(train.metadata or "", described, documents)
            yield row._replace(rank=rank, query_id=document.query_id, entry=document.first + rank - 1)


def _position(file: str, described: tuple[int, str], documents: dict[str, _Json]) -> tuple[_Json, int]:
    at, line = described
    name, _, written = line.rpartition(" ")
    document = documents[name]
    return document, _checked(file, at, written, 1, document.entries, f"meta index into {name}")


def _pictures(files: CrawlFiles, path: str, classes: int) -> Iterator[tuple[int, str, int]]:
    for at, line in lines(files, path):
        name, _, written = line.rpartition(" ")
        yield at, name.removeprefix("./"), _checked(path, at, written, 0, classes - 1, "class index")


def _labelled(files: CrawlFiles, path: str) -> bool:
    first = next(lines(files, path), None)
    return first is None or " " in first[1]


def _existence(files: CrawlFiles) -> Callable[[str], bool]:
    """Whether the crawl has a file, by listing folders: one request tells thousands of answers."""

    @functools.lru_cache(maxsize=64)
    def names(folder: str) -> frozenset[str]:
        try:
            return frozenset(e.path.rpartition("/")[2] for e in files.entries(folder) if e.size is not None)
        except DefectError:
            return frozenset()

    return lambda path: path.rpartition("/")[2] in names(path.rpartition("/")[0])


def _check_points_somewhere(files: CrawlFiles, path: str, folders: list[str], exists: Callable[[str], bool]) -> str:
    """The first folder below which any picture of the list lies."""
    empty = True
    for folder in folders:
        for _, line in lines(files, path):
            empty = False
            if exists("/".join(filter(None, (folder, line.rpartition(" ")[0])))):
                return folder
    if empty:
        return folders[0]
    where = " or ".join(repr(folder) if folder else "the crawl's own folder" for folder in folders)
    raise CrawlError(
        path, f"none of its pictures lies in {where}", "Extract the pictures there, or remove the list.", 1
    )
