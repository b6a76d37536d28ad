"""Text evidence beside its peers: strings a second and core, on made-up titles.

    python benchmarks/evidence_text.py

Everything runs on one thread and is timed by the processor time of this process, so that other work on the machine
moves the figures little. The peers answer less: whether a title has a name of its own class, or which keywords it has.
"""

import argparse
import functools
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from threadpoolctl import threadpool_limits

from benchmarks.shopcrawl import ROOT, table
from models.text import Transformer
from pipeline.evidence.keyword import KeywordIndex, KeywordSettings, count_texts
from pipeline.evidence.lsa import LsaSettings, fit_lsa
from pipeline.evidence.semantic import class_text, closeness
from pipeline.evidence.vocabulary import ClassWords, vocabulary
from pipeline.evidence.words import split_words
from pipeline.stages.texts import text_hashes

TITLES: Final = 131_072
CLASSES: Final = 1000
WORDS: Final = 20_000
#: Strings that the transformer is timed on: BERT-mini's size, 12 tokens in the mean as measured on search results.
STRINGS: Final = 1024
PADDED: Final = 192
#: Images for one distinct text on the shop crawl: 11,335 images, 6,715 distinct texts.
IMAGES_A_TEXT: Final = 1.69


def rows() -> list[dict[str, Any]]:
    """One row for each way of doing each job: its rate, and ours as a multiple of it."""
    pa.set_cpu_count(1)
    torch.set_num_threads(1)
    with threadpool_limits(1):
        return [*_keyword_rows(), *_built_in_rows(), *_transformer_rows()]


def main() -> None:
    """Print the table and write it as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, default=ROOT / "build" / "benchmarks" / "evidence_text.json")
    options = parser.parse_args()
    found = rows()
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(found, indent=1))
    print(f"{table(found)}\n\nwritten to {options.json}")


def _rate(strings: int, work: Callable[[], Any], times: int = 3) -> float:
    """Strings a second of processor time, the best of some tries."""
    taken = []
    for _ in range(times):
        started = time.process_time()
        work()
        taken.append(time.process_time() - started)
    return strings / min(taken)


def _told(job: str, rates: dict[str, float], ours: str) -> list[dict[str, Any]]:
    return [
        {"job": job, "way": way, "strings/s/core": f"{rate:,.0f}", "ours / it": f"{rates[ours] / rate:.2f}"}
        for way, rate in rates.items()
    ]


@functools.cache
def _made_up() -> tuple[list[ClassWords], list[str], np.ndarray[Any, np.dtype[np.int64]]]:
    """Classes, titles of 8 words drawn as words are (few often, most seldom), and each title's class, ascending."""
    rng = np.random.default_rng(0)
    letters = np.array(list("abcdefghijklmnopqrstuvwxyz"))
    words = ["".join(rng.choice(letters, n)) for n in rng.choice([3, 4, 5, 5, 6, 6, 7, 8, 9, 11], WORDS)]
    classes = [
        ClassWords([" ".join(rng.choice(words[200:], n)) for n in (1, 2)], " ".join(rng.choice(words[50:], 10)))
        for _ in range(CLASSES)
    ]
    drawn = np.minimum(rng.pareto(1, (TITLES, 8)) * 50, WORDS - 1).astype(np.int64)
    own = np.sort(rng.integers(0, CLASSES, TITLES))
    titles = [" ".join(words[i] for i in row).capitalize() for row in drawn]
    for i in np.flatnonzero(rng.random(TITLES) < 0.7):
        titles[i] = f"{classes[own[i]].lemmas[0]} {titles[i].partition(' ')[2]}"
    return classes, titles, own


def _keyword_rows() -> list[dict[str, Any]]:
    classes, titles, own = _made_up()
    column = pa.array(titles)
    known = vocabulary(classes)
    index = KeywordIndex(known, *count_texts(known, column), KeywordSettings())
    lower = column.to_pandas().str.lower().tolist()
    names = [list(one.lemmas) for one in classes]
    block = [column.slice(first, 16_384) for first in range(0, TITLES, 16_384)]
    counter = CountVectorizer(vocabulary=sorted(known.forms), binary=True)
    few = titles[: TITLES // 8]
    rates = {
        "winnow: own class and best other of 1,000, IDF-weighted": _rate(TITLES, lambda: index.match(column, own)),
        "winnow: which keywords of all classes": _rate(TITLES, lambda: [known.look_up(part) for part in block]),
        "winnow: words alone": _rate(TITLES, lambda: [split_words(part) for part in block]),
        "Python: name of the own class `in` the lower-cased title": _rate(
            TITLES, lambda: [any(name in text for name in names[k]) for text, k in zip(lower, own, strict=True)]
        ),
        "pyarrow match_substring, class by class": _rate(TITLES, lambda: _arrow(column, names, own)),
        "DuckDB: join with the own class's names, contains": _rate(TITLES, lambda: _duckdb(column, names, own)),
        "scikit-learn CountVectorizer, all keywords": _rate(len(few), lambda: counter.transform(few), 1),
    }
    return _told("keyword", rates, next(iter(rates)))


def _arrow(titles: pa.Array, names: list[list[str]], own: np.ndarray[Any, np.dtype[np.int64]]) -> None:
    starts = np.searchsorted(own, np.arange(CLASSES + 1))
    for k, told in enumerate(names):
        part = titles.slice(starts[k], starts[k + 1] - starts[k])
        for name in told:
            pc.match_substring(part, name, ignore_case=True)


def _duckdb(titles: pa.Array, names: list[list[str]], own: np.ndarray[Any, np.dtype[np.int64]]) -> None:
    with duckdb.connect(config={"threads": 1}) as duck:
        duck.register("titles", pa.table({"title": titles, "own": own}))
        pairs = [(k, name) for k, told in enumerate(names) for name in told]
        duck.register("names", pa.table({"own": [k for k, _ in pairs], "name": [name for _, name in pairs]}))
        duck.sql("SELECT sum(contains(lower(title), name)::INT) FROM titles JOIN names USING (own)").fetchall()


def _built_in_rows() -> list[dict[str, Any]]:
    classes, titles, own = _made_up()
    texts, few = titles[:50_000], titles[:16_384]
    told = [class_text(one) for one in classes]
    started = time.process_time()
    lsa = fit_lsa(texts, told, LsaSettings())
    fitting = time.process_time() - started
    vectors, of_classes = lsa.encode(few), lsa.encode(told)
    tfidf = TfidfVectorizer(sublinear_tf=True).fit(texts)
    encoding = {
        "winnow: words, TF-IDF and 256 dimensions": _rate(len(few), lambda: lsa.encode(few)),
        "scikit-learn TfidfVectorizer and the same product": _rate(
            len(few), lambda: tfidf.transform(few) @ np.zeros((len(tfidf.vocabulary_), 256), np.float32), 1
        ),
    }
    comparing = {
        "winnow: own class and best other of 1,000": _rate(
            len(few), lambda: closeness(vectors, of_classes, own[: len(few)])
        ),
        "floor: the float32 product alone": _rate(len(few), lambda: vectors @ of_classes.T),
    }
    fit = {"winnow: fitted on 50,000 texts": len(texts) / fitting}
    return [
        *_told("lsa: fit", fit, next(iter(fit))),
        *_told("lsa: encode", encoding, next(iter(encoding))),
        *_told("lsa: compare", comparing, next(iter(comparing))),
    ]


def _transformer_rows() -> list[dict[str, Any]]:
    from transformers import AutoModel, AutoTokenizer  # noqa: PLC0415 - seconds

    rng = np.random.default_rng(0)
    lengths = np.clip(rng.lognormal(2.2, 0.6, STRINGS), 1, 62).astype(int)  # 12 tokens in the mean, the two marks too
    texts = [" ".join(f"w{i}" for i in rng.integers(0, 2000, n)) for n in lengths]
    every = [texts[i] for i in rng.integers(0, STRINGS, int(STRINGS * IMAGES_A_TEXT) - STRINGS)] + texts
    with tempfile.TemporaryDirectory() as folder:
        _write_bert(Path(folder))
        model = Transformer(Path(folder), 64)
        naive = AutoModel.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)
        rates = {
            "winnow: by length, each distinct text once": _rate(len(every), lambda: _distinct(model, every), 2),
            "winnow: by length": _rate(STRINGS, lambda: model(texts), 2),
            "padded to 64, float32, 32 at a time": _rate(PADDED, lambda: _padded(*naive, texts[:PADDED]), 2),
        }
    return _told("transformer of BERT-mini's size", rates, next(iter(rates)))


def _distinct(model: Transformer, texts: list[str]) -> None:
    _, first, same = np.unique(text_hashes(pa.array(texts)), return_index=True, return_inverse=True)
    _ = model([texts[i] for i in first])[same]


def _write_bert(folder: Path) -> None:
    from transformers import BertConfig, BertModel, BertTokenizer  # noqa: PLC0415 - seconds

    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *(f"w{i}" for i in range(2000))]
    (folder / "vocab.txt").write_text("\n".join(words))
    BertTokenizer(vocab=str(folder / "vocab.txt")).save_pretrained(folder)
    size = {"num_hidden_layers": 4, "num_attention_heads": 4, "intermediate_size": 1024}
    BertModel(BertConfig.from_dict({"vocab_size": len(words), "hidden_size": 256, **size})).save_pretrained(folder)


def _padded(model: Any, tokenizer: Any, texts: list[str]) -> None:
    for first in range(0, len(texts), 32):
        part = texts[first : first + 32]
        given = tokenizer(part, padding="max_length", truncation=True, max_length=64, return_tensors="pt")
        with torch.inference_mode():
            hidden = model(**given).last_hidden_state
            mask = given["attention_mask"][..., None]
            torch.nn.functional.normalize((hidden * mask).sum(1) / mask.sum(1), dim=1)


if __name__ == "__main__":
    main()
