"""2,576 odd, broken and malicious images through the pool: none ends a run, each is judged rightly."""

import csv
import re
import tarfile
from collections import Counter
from pathlib import Path
from typing import Final

import pytest

from pipeline.crawl.decode import DecodeSettings
from pipeline.crawl.files import CrawlFiles
from pipeline.crawl.worker import FIRST_DEFECT, USABLE
from pipeline.crawl.workers import DecodePool, Source
from pipeline.records import DEFECTS

_ANIMATED: Final = "only the animation's control chunk is damaged; the still picture, all we take, is whole"
_PALETTE: Final = "Pillow advises RGBA for palettes with transparency; RGBA is what we take"
#: Where we accept what `strict` refuses for a warning: the picture is whole, the warning is not about it.
ACCEPTED: Final = {
    "pillow_tests/apng/chunk_multi_actl.png": _ANIMATED,
    "pillow_tests/apng/syntax_num_frames_invalid.png": _ANIMATED,
    "pillow_tests/apng/syntax_num_frames_zero_default.png": _ANIMATED,
    "pillow_tests/apng/dispose_op_background_p_mode.png": _PALETTE,
    "pillow_tests/apng/mode_palette_1bit_alpha.png": _PALETTE,
    "pillow_tests/pil123p.png": _PALETTE,
    "pngsuite/pngsuite/tm3n3p02.png": _PALETTE,
}


@pytest.fixture(scope="module")
def hostile(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hostile")
    with tarfile.open(shared_data / "hostile" / "hostile.tar.gz") as archive:
        archive.extractall(folder, filter="data")
    return folder / "hostile"


def test_every_hostile_image_is_judged_as_expected(hostile: Path) -> None:
    with (hostile / "expected.csv").open(newline="") as stream:
        expected = list(csv.DictReader(stream))
    settings = DecodeSettings(timeout_s=2)
    with DecodePool(CrawlFiles(str(hostile)), settings, 2) as pool:
        rows = pool.decode([Source(line["path"]) for line in expected]).rows
    reasons = ["" if state == USABLE else DEFECTS[state - FIRST_DEFECT] for state in rows["state"].tolist()]
    usable = {line["path"]: not reason for line, reason in zip(expected, reasons, strict=True)}
    differing = {line["path"] for line in expected if usable[line["path"]] != (line["strict"] == "yes")}

    assert len(expected) == 2576
    assert differing == set(ACCEPTED)
    assert all(line["decodable"] == "yes" for line in expected if line["path"] in ACCEPTED)
    timeouts = [line["path"] for line, reason in zip(expected, reasons, strict=True) if reason == "timeout"]
    assert timeouts == [line["path"] for line in expected if line["strict"] == "timeout"]
    assert not {"crashed", "memory", "missing", "unreadable"} & set(reasons)

    # What differs only by a number or quoted bytes is one signature.
    details = [re.sub(r"\d+|b'.*|b\".*", "#", detail.decode()) for detail in rows["detail"].tolist()]
    signatures = Counter((reason, detail) for reason, detail in zip(reasons, details, strict=True) if reason)
    told = f"{len(signatures)} signatures of {signatures.total()} refusals: {Counter(filter(None, reasons))}"
    print(told)  # noqa: T201 - shown with `pytest -s`
    assert len(signatures) > 40
