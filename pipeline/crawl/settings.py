"""How a crawl is read, where it does not explain itself."""

from dataclasses import dataclass, field, fields
from typing import Final, Literal, get_args

Layout = Literal["webvision", "table", "webdataset", "folders"]  # in the order they are looked for
LAYOUTS: Final[tuple[Layout, ...]] = get_args(Layout)


@dataclass(frozen=True, kw_only=True)
class Columns:
    """Which column of a table (or key of a WebDataset sample's JSON) tells what; "a.b" is field b of struct a."""

    #: The picture's path inside the crawl. Where `image` is set it may be absent: the row's number takes its place.
    path: str = "path"
    #: The picture's bytes (binary in Parquet, base64 in CSV and JSONL); None: pictures are files at `path`.
    image: str | None = None
    #: The class's name, wnid or number. Never absent.
    label: str = "label"
    title: str = "title"
    description: str = "description"
    #: A list of strings, or one string parted by commas or blanks.
    tags: str = "tags"
    #: 1-based position among the query's results.
    rank: str = "rank"
    #: The search term.
    query: str = "query"
    source: str = "source"
    #: train, val or test; where the column is absent everything is train.
    split: str = "split"

    def __post_init__(self) -> None:
        """Check that every name is one."""
        for one in fields(self):
            if getattr(self, one.name) == "":
                raise ValueError(f"columns.{one.name}: a column's name, not the empty string")


@dataclass(frozen=True, kw_only=True)
class CrawlSettings:
    """How one crawl is read."""

    #: "auto", or a name from LAYOUTS.
    layout: Layout | Literal["auto"] = "auto"
    #: For tables, and for the JSON of WebDataset samples.
    columns: Columns = field(default_factory=Columns)
    #: File or address of lines `wnid<TAB>definition`; None: the crawl's own info/glosses.tsv, if it has one.
    definitions: str | None = None
    #: File or address of lines `wnid<TAB>lemma, lemma`; None: the crawl's own names.
    lemmas: str | None = None
    #: File or address of lines `wnid<TAB>word, word`, words related to the class or wnids of related classes; None: the
    #: crawl's own info/near_words.tsv, if it has one.
    near_words: str | None = None
    #: CSV file or address with the columns wnid, lemmas, gloss: the classes in order, also those without pictures here.
    #: None: the crawl's own classes. Crawls that share a store share one catalogue.
    catalogue: str | None = None

    def __post_init__(self) -> None:
        """Check the layout's name."""
        if self.layout not in ("auto", *LAYOUTS):
            raise ValueError(f"layout: {self.layout!r} is none of auto, {', '.join(LAYOUTS)}")
