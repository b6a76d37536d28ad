"""What is exported: a recipe's manifest, row beside row with the crawls it was made of."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.crawl.files import CrawlFiles
from pipeline.storage.artifacts import Artifact, inputs_of
from pipeline.storage.tables import Steps, iterate_table, read_table, table_schema

BATCH_ROWS: Final = 62_500  # in memory at a time

Progress = Callable[[int], None]


@dataclass(frozen=True)
class ExportSource:
    """A manifest and its crawls, in the order that the manifest was made in."""

    manifest: Artifact
    listings: Sequence[Artifact]
    images: Sequence[Artifact]
    #: where each crawl's pictures lie; asked for only where their bytes are exported
    files: Callable[[], Sequence[CrawlFiles]]
    max_bytes: int  # of one picture, as it was decoded under

    @property
    def recipe(self) -> str:
        """Whose manifest it is."""
        return self.manifest.partition

    @property
    def inputs(self) -> list[str]:
        """Identities of everything an export is made from."""
        return inputs_of([self.manifest, *self.listings, *self.images])

    @cached_property
    def classes(self) -> pa.Table:
        """`wnid` and `name` of every class, in order of class_index; names are a crawl's words."""
        found = read_table(self.listings[0].table("classes"), ("class_index", "wnid", "lemmas"))
        found = found.sort_by("class_index")
        lemmas, wnid = found["lemmas"].combine_chunks(), found["wnid"].combine_chunks()
        named = pc.greater(pc.list_value_length(lemmas), 0)
        first = pc.list_slice(lemmas, 0, 1)
        return pa.table({"wnid": wnid, "name": pc.if_else(named, pc.binary_join(first, ""), wnid)})

    def rows(
        self, columns: Sequence[str], of_images: Sequence[str] = (), on_progress: Progress = lambda _: None
    ) -> Iterator[tuple[int, pa.Table]]:
        """Number of the crawl and a run of its rows, in the manifest's order, at most BATCH_ROWS at a time.

        Args:
            columns: of the manifest.
            of_images: of the table `images`, which stand behind them.
            on_progress: told how many rows have been read since it was last called.

        Raises:
            ValueError: the crawls hold other images now.
        """
        folder = self.manifest.table("manifest")
        schema = table_schema(folder)
        wanted = tuple(dict.fromkeys(("image_id", *columns)))
        decided = Steps(folder, pa.schema([schema.field(name) for name in wanted]))
        for crawl, images in enumerate(self.images):
            for batch in iterate_table(images.table("images"), ("image_id", *of_images), BATCH_ROWS):
                rows = decided.peek(batch.num_rows)
                decided.drop(batch.num_rows)
                if not np.array_equal(rows["image_id"].to_numpy(), batch["image_id"].to_numpy()):
                    raise ValueError(self._stale())
                for name in of_images:
                    rows = rows.append_column(name, batch[name])
                on_progress(batch.num_rows)
                yield crawl, rows
        if len(decided.peek(1)):
            raise ValueError(self._stale())

    def kept(
        self, columns: Sequence[str], of_images: Sequence[str] = (), on_progress: Progress = lambda _: None
    ) -> Iterator[tuple[int, pa.Table]]:
        """The same of the images that are trained on."""
        for crawl, rows in self.rows((*columns, "kept"), of_images, on_progress):
            yield crawl, rows.filter(rows["kept"]).drop_columns("kept")

    def in_list(self, crawl: int, paths: pa.ChunkedArray) -> pa.ChunkedArray:
        """How a list names pictures: by the path inside the crawl, its name before it where there are several."""
        if len(self.listings) == 1:
            return paths
        return pc.binary_join_element_wise(self.listings[crawl].partition, paths, "/")

    def check_files(self) -> None:
        """Raises ValueError where a picture is not a file of its own, so that no list can name it."""
        packed = [one.partition for one in self.listings if one.facts["containers"] is not None]
        if packed:
            raise ValueError(
                f"the pictures of {packed[0]} lie packed in larger files, which a list cannot name: "
                "export webdataset or huggingface"
            )

    def _stale(self) -> str:
        return (
            f"the manifest of {self.recipe} was made of other images than the crawls hold now: "
            f"make it again with `winnow run CRAWL --recipes {self.recipe}`"
        )
