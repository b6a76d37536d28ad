"""Stage `report`: a folder of HTML pages about a run, from whatever tables are there.

Every page is a file of its own: its pictures are in it and nothing is loaded, so that it can be sent to somebody alone.
Files are named by our numbers. Pages of classes are made a few at a time and recorded, so that a killed report resumes;
memory holds the images of one part of the tables of evidence for each worker, and a few pages.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path

from threadpoolctl import threadpool_limits

from pipeline.engine import map_shards
from pipeline.report.class_page import ClassPage, GroupLine
from pipeline.report.page import Frame, RecipeNote
from pipeline.report.render import render_page
from pipeline.report.sheets import SheetSettings
from pipeline.stages.report_classes import AT_ONCE, ClassPages
from pipeline.stages.report_confused import ConfusedClasses, confused_classes, group_lines, group_page
from pipeline.stages.report_inputs import find_inputs
from pipeline.stages.report_read import Run, read_run
from pipeline.stages.report_recipes import RecipeWeights, recipe_page
from pipeline.stages.report_site import site_pages
from pipeline.stages.texts import read_class_words
from pipeline.storage.artifacts import WHOLE, Artifact, Store, identity, inputs_of
from pipeline.storage.atomic import publish_bytes
from pipeline.storage.draft import Draft, Facts

STAGE = "report"
CODE_VERSION = "5"
ENTRY = "index.html"
GROUPS_AT_ONCE = 16  # pages of confused groups
LARGEST = 1_900_000  # bytes of a page

Pages = Mapping[str, bytes]  # by path below the report's folder


@dataclass(frozen=True, kw_only=True)
class ReportSettings:
    """What the pages show of what there is."""

    #: the recipe that gains are counted from
    baseline: str = "baseline"
    #: images quoted per quarantine reason, at least 1
    examples: int = 5
    sheets: SheetSettings = field(default_factory=SheetSettings)

    def __post_init__(self) -> None:
        """Refuse what cannot be shown."""
        if self.examples < 1:
            raise ValueError(f"report.examples must be at least 1, not {self.examples}")


def make_report(
    store: Store,
    recipes: Sequence[str],
    notes: Mapping[str, RecipeNote],
    settings: ReportSettings | None = None,
    *,
    workers: int = 1,
) -> Artifact:
    """Write the pages about the current artifacts; what no run has made yet is said in them.

    Args:
        store: where the run lies.
        recipes: whose results are told, in this order; the weights pictured on the pages of classes are those of the
            last that is not the baseline.
        notes: what is said of recipes, by name; all that have a manifest get a page.
        settings: None for the defaults.
        workers: threads; the pages do not depend on it.
    """
    settings = settings or ReportSettings()
    others = [name for name in store.partitions("manifest") if name not in recipes]
    inputs = find_inputs(store, recipes, others, settings.baseline)
    told = [notes.get(name, RecipeNote(name)) for name in (*recipes, *others)]

    def build(draft: Draft) -> Facts:
        run = read_run(inputs, told, settings.baseline, settings.sheets)
        with threadpool_limits(1):  # so that equal features give equal maps on any number of cores
            return _Writer(store, draft, run, settings).write(workers)

    # Wall times are shown but are no input: a report of the same tables is the same report.
    described = {"recipes": [*recipes], "notes": [asdict(note) for note in told], "settings": asdict(settings)}
    return store.make(STAGE, WHOLE, identity(STAGE, CODE_VERSION, described, inputs_of(inputs.all)), build)


def report_page(store: Store) -> Path:
    """Where the latest report begins.

    Raises:
        NotMadeError: there is none yet.
    """
    return store.current(STAGE).folder / ENTRY


@dataclass(frozen=True)
class _Writer:
    """Writes the pages of a run, some at a time; each time is a shard of the ledger."""

    store: Store
    draft: Draft
    run: Run
    settings: ReportSettings

    def write(self, workers: int) -> Facts:
        run = self.run
        found = run.evidence.found.get("confusion")
        groups = confused_classes(found, len(run.classes)) if found is not None else None
        recipes = [recipe_page(run, note) for note in (*run.notes, *run.others)]
        weights = {page.note.name: own for page, own in recipes if own is not None}
        shards = [*self._classes(weights, groups or []), *self._groups(groups or [])]
        shards.append(lambda: {f"recipe/{p.note.name}.html": _inner("recipe", "results", p) for p, _ in recipes})
        lines = group_lines(run, groups) if groups is not None else None
        shown = next((page for page, _ in recipes if page.note.name == run.weighed), None)
        shards.append(partial(site_pages, self.store, run, self.settings.examples, shown, lines))
        facts = list(map_shards(self._shard, enumerate(shards), workers))
        largest = max(fact["largest"] for fact in facts)
        return {
            "classes": len(run.classes),
            "pages": sum(fact["pages"] for fact in facts),
            "bytes": sum(fact["bytes"] for fact in facts),
            "largest": largest,
        }

    def _shard(self, task: tuple[int, Callable[[], Pages]]) -> Facts:
        number, make = task
        done = self.draft.finished(number)
        if done is not None:
            return done
        files = {}
        for name, html in make().items():
            path = self.draft.folder / name
            publish_bytes(path, html)
            files[path] = len(html)
        facts = {"pages": len(files), "bytes": sum(files.values()), "largest": max(files.values(), default=0)}
        self.draft.finish(number, dict.fromkeys(files, 1), facts)
        return facts

    def _classes(
        self, weights: Mapping[str, RecipeWeights], groups: Sequence[ConfusedClasses]
    ) -> Iterator[Callable[[], Pages]]:
        run = self.run
        reads = run.evidence.has("keyword") or run.evidence.has("semantic")
        words = read_class_words(run.inputs.listings[0]) if reads else []
        inside = {k: number for number, group in enumerate(groups) for k in group.classes}
        pages = ClassPages(run, weights, inside, words)
        for stretch in run.evidence.stretches:
            for start in range(stretch.start, stretch.stop, AT_ONCE):
                yield partial(_class_files, pages, range(start, min(start + AT_ONCE, stretch.stop)))

    def _groups(self, groups: Sequence[ConfusedClasses]) -> Iterator[Callable[[], Pages]]:
        lines = group_lines(self.run, groups)
        for start in range(0, len(groups), GROUPS_AT_ONCE):
            yield partial(self._group_files, lines, groups, range(start, min(start + GROUPS_AT_ONCE, len(groups))))

    def _group_files(self, lines: Sequence[GroupLine], groups: Sequence[ConfusedClasses], numbers: range) -> Pages:
        pages = {k: group_page(self.run, lines, groups[k], k) for k in numbers}
        return {f"group/{k:05d}.html": _inner("group", "confused", page) for k, page in pages.items()}


def _class_files(pages: ClassPages, classes: range) -> Pages:
    return {f"class/{page.row.index:05d}.html": render_class(page) for page in pages.of(classes)}


def render_class(page: ClassPage) -> bytes:
    """A class's page, without what is known of each picture where that would make it larger than LARGEST."""
    html = _inner("class", "classes", page)
    return html if len(html) <= LARGEST else _inner("class", "classes", page.wordless())


def _inner(template: str, here: str, page: object) -> bytes:
    return render_page(f"{template}.html", Frame("../", here), page)
