"""A store of one or two small crawls of real files, and a manifest made up by hand."""

import copy
import dataclasses
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from pipeline.crawl.decode import DecodeSettings
from pipeline.crawl.settings import CrawlSettings
from pipeline.export.source import ExportSource
from pipeline.records import MANIFEST
from pipeline.stages.images import make_images
from pipeline.stages.listing import Crawl, make_listing, picture_files
from pipeline.storage.artifacts import Store, identity
from pipeline.storage.draft import Draft, Facts
from pipeline.storage.tables import part_path, read_table, write_table
from tests.crawl.pictures import encoded, photo
from tests.crawl.tiny import write

CATALOGUE = "wnid,lemmas,gloss\nn1,daisy,\nn2,tulip,\n"


def picture(seed: int, kind: str) -> bytes:
    """Its height, 20 + seed, tells which it is."""
    return encoded(photo(seed, 20 + seed, 30), kind)


@dataclass
class Made:
    """A store with crawls whose manifest can be exported."""

    root: Path
    crawls: list[Crawl] = field(default_factory=list)
    decisions: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def store(self) -> Store:
        return Store(self.root / "store")

    def copied(self, root: Path) -> "Made":
        """The same elsewhere."""
        shutil.copytree(self.root, root)
        crawls = [dataclasses.replace(crawl, address=str(root / crawl.name)) for crawl in self.crawls]
        return Made(root, crawls, copy.deepcopy(self.decisions))

    def add(self, name: str, files: dict[str, str | bytes], settings: CrawlSettings | None = None) -> None:
        """List and decode a crawl of those files."""
        write(self.root / name, files)
        names = self.root / "catalogue.csv"
        names.write_text(CATALOGUE)
        settings = settings or CrawlSettings(catalogue=str(names))
        crawl = Crawl(name=name, address=str(self.root / name), settings=settings)
        listing = make_listing(self.store, crawl)
        make_images(self.store, listing, picture_files(listing, crawl), DecodeSettings(image_size=32), workers=1)
        self.crawls.append(crawl)

    def decide(self, path: str, weight: float, repeats: int = 1, **more: Any) -> None:
        """Train on an image; what is not decided is not kept."""
        self.decisions[path] = {"weight": weight, "repeats": repeats, "kept": True, "reason": "as decided", **more}

    def source(self) -> ExportSource:
        """The manifest of what was decided."""
        listings = [self.store.current("listing", crawl.name) for crawl in self.crawls]
        images = [self.store.current("images", crawl.name) for crawl in self.crawls]
        rows = [row for listing in listings for row in read_table(listing.table("listing")).to_pylist()]
        nothing = {"weight": 0.0, "repeats": 0, "stage": 0, "kept": False, "reason": "left out"}
        listed = ("image_id", "path", "class_index")
        manifest = [
            {**{name: row[name] for name in listed}, **nothing, **self.decisions.get(row["path"], {})} for row in rows
        ]

        def build(draft: Draft) -> Facts:
            path = part_path(draft.table("manifest"), 0)
            draft.finish(0, {path: write_table(path, MANIFEST, [pa.Table.from_pylist(manifest, schema=MANIFEST)])})
            return {"rows": len(manifest), "kept": sum(row["kept"] for row in manifest)}

        made = self.store.make("manifest", "mine", identity("manifest", "made up", manifest, []), build)
        pairs = list(zip(listings, self.crawls, strict=True))
        return ExportSource(made, listings, images, lambda: [picture_files(*pair) for pair in pairs], 2**20)


def add_crawl(made: Made) -> None:
    """Six pictures, one of them broken, one of val; three are kept."""
    made.add(
        "crawl",
        {
            "train/n1/a.jpg": picture(1, "JPEG"),
            "train/n1/b c.png": picture(2, "PNG"),
            "train/n2/=d.png": picture(3, "PNG"),
            "train/n2/e.jpg": picture(4, "JPEG"),
            "train/n2/broken.jpg": picture(5, "JPEG")[:100],
            "val/n1/v.png": picture(6, "PNG"),
        },
    )
    made.decide("train/n1/a.jpg", 0.5, 2)
    made.decide("train/n1/b c.png", 2.0)
    made.decide("train/n2/=d.png", 1.0, class_index=0, suggested_class=0, stage=1, reason="=1+1; moved")


def add_more(made: Made) -> None:
    """A second crawl of two pictures that are kept; listed is `g` before `f`."""
    made.add("more", {"n2/f.gif": picture(7, "GIF"), "n2/g.jpg": picture(8, "JPEG")})
    made.decide("n2/f.gif", 1.0)
    made.decide("n2/g.jpg", 1.0)
