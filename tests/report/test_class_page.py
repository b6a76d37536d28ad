import numpy as np

from pipeline.report.census import ClassRow
from pipeline.report.class_page import ClassPage, PictureGroup
from pipeline.report.page import ClassTable, Frame
from pipeline.report.render import PART, render_classes
from pipeline.report.sheets import Caption, Sheet, SheetSettings, contact_sheet, data_uri
from pipeline.stages.report import LARGEST, render_class

WORST = "\u202e<&" * 100  # three hundred characters, each many bytes once it is spelt out or escaped
PICTURES = 32 + 8 * 8 + 3 * 8 + 3 * 8 + 10 + 32 + 24  # of a class with all evidence


def page(pictures: int, name: str, facts: int) -> ClassPage:
    """A class of noise: nothing is harder to compress."""
    noise = np.random.default_rng(0).integers(0, 256, (8, 64, 64, 3), np.uint8)
    uri = data_uri(contact_sheet(noise, 8, SheetSettings()), "image/jpeg")
    captions = tuple(Caption(name, name, 1, 1.0, name, (name,) * facts) for _ in range(8))
    sheets = tuple(Sheet("Cluster", name, uri, 8, captions) for _ in range(-(-pictures // 8)))
    row = ClassRow(3, name, name, 9, 0, None, None, None, ())
    return ClassPage(
        *(row, name, None, None, (), (), 0, None, None, None, None, (), 0, (), None),
        groups=(PictureGroup("", "", sheets),),
        maps=(),
    )


def test_a_page_of_the_worst_words_and_pictures_stays_small() -> None:
    worst = render_class(page(PICTURES, WORST, 7))
    assert len(worst) < LARGEST
    assert b"<code>winnow explain</code> tells it of any image" in worst
    assert b"These pictures in words" not in worst


def test_a_page_that_is_small_tells_what_is_known() -> None:
    told = render_class(page(PICTURES, "a shoe", 7))
    assert len(told) < LARGEST
    assert b"These pictures in words" in told


def test_a_long_table_of_classes_is_told_in_parts_that_hold_every_class_once() -> None:
    rows = [(ClassRow(k, WORST, WORST, 9, 0, None, None, None, ()), (9.0,)) for k in range(2500)]
    table = ClassTable("Classes", "", ("b.html", "b"), (("Usable", "count"),), rows)
    parts = render_classes(Frame("", "classes"), table, "classes")
    assert list(parts) == ["classes.html", "classes-2.html", *(f"classes-{k}.html" for k in range(3, len(parts) + 1))]
    assert all(len(html) < PART + 100_000 for html in parts.values())
    links = [html.decode().count('href="class/') for html in parts.values()]
    assert len(parts) > 1
    assert sum(links) == 2500
    assert parts["classes.html"].decode().count('href="classes-2.html"') == 1
