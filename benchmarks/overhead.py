"""What the graph itself costs: a whole run from the command line, less the work of its stages.

    python -m benchmarks.overhead [--images 2400] [--epochs 7]

Draws a crawl and runs `winnow run` over it in this process, with the recipes and settings of the demo, so that the
number of Dagster's runs and steps is the demo's. Wall time and processor time of this process are told apart into
imports, work of the stages, and everything else: Dagster's records, the figures and pictures that the UI shows, finding
what is there. Processor time is what counts on a machine that does other things too. Prints a table, writes it as JSON.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.shopcrawl import table

ROOT = Path(__file__).resolve().parents[1]
MOST = 10.0  # seconds that the graph may cost


@dataclass
class Clock:
    """Seconds spent in something, and how often; what begins inside itself counts once."""

    name: str
    times: int = 0
    wall: float = 0.0
    processor: float = 0.0
    deep: int = 0

    @contextmanager
    def runs(self) -> Iterator[None]:
        """A block that is counted."""
        started = time.perf_counter(), time.process_time()
        self.deep += 1
        try:
            yield
        finally:
            self.deep -= 1
            self.times += 1
            if not self.deep:
                self.wall += time.perf_counter() - started[0]
                self.processor += time.process_time() - started[1]

    def around(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """A function whose calls are counted."""

        def counted(*given: Any, **named: Any) -> Any:
            with self.runs():
                return function(*given, **named)

        return counted

    def row(self) -> dict[str, Any]:
        """A line of the table."""
        return {
            "what": self.name,
            "times": self.times,
            "wall s": round(self.wall, 2),
            "processor s": round(self.processor, 2),
        }


def main() -> None:
    """Run, and print what the graph cost."""
    options = _options()
    whole, imports = Clock("whole run"), Clock("imports")
    stages, dagster = Clock("stages: their work"), Clock("runs of Dagster, with the stages in them")
    with tempfile.TemporaryDirectory() as folder, whole.runs():
        with imports.runs():
            _import()
        arguments = _prepared(Path(folder), options, whole)
        _watch(stages, dagster)
        _run(arguments)
    graph = Clock("the graph's own cost", 1, whole.wall - stages.wall, whole.processor - stages.processor)
    rows = [clock.row() for clock in (whole, imports, dagster, stages, graph)]
    print(table(rows))
    kept = "within" if graph.wall <= MOST else "above"
    print(f"\n{graph.wall:.1f} s: {kept} the {MOST:.0f} s that the graph may cost")
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps({"images": options.images, "epochs": options.epochs, "rows": rows}, indent=1))
    print(f"written to {options.json}")


def _import() -> None:
    """All that a command imports before its first stage."""
    import assets.cli  # noqa: PLC0415 - that it takes seconds is what is measured
    import assets.run  # noqa: F401, PLC0415


def _prepared(folder: Path, options: argparse.Namespace, whole: Clock) -> list[str]:
    """Draw the crawl, which is not counted, and tell the command line that runs it."""
    from assets.demo import SETTINGS  # noqa: PLC0415 - imported above
    from pipeline.demo.crawl import write_demo_crawl  # noqa: PLC0415
    from pipeline.demo.noise import DemoSettings  # noqa: PLC0415

    drawing = Clock("drawing")
    with drawing.runs():
        write_demo_crawl(folder / "crawl", DemoSettings(train_images=options.images))
    whole.wall -= drawing.wall
    whole.processor -= drawing.processor
    (folder / "winnow.toml").write_text(
        f"[images]\nimage_size = {SETTINGS.images.image_size}\n[training]\nnetwork = '{SETTINGS.training.network}'\n"
        f"epochs = {options.epochs}\nbatch_size = {SETTINGS.training.batch_size}\n"
    )
    return ["run", str(folder / "crawl"), "--config", str(folder / "winnow.toml"), "--store", str(folder / "store")]


def _watch(stages: Clock, dagster: Clock) -> None:
    import dagster as dg  # noqa: PLC0415 - imported above

    from pipeline.storage.artifacts import Store  # noqa: PLC0415

    Store.make_together = stages.around(Store.make_together)  # type: ignore[method-assign]
    dg.materialize = dagster.around(dg.materialize)


def _run(arguments: list[str]) -> None:
    from assets.commands.common import app  # noqa: PLC0415 - imported above

    app(arguments, standalone_mode=False)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=2400, help="training images to draw; the demo's number")
    parser.add_argument("--epochs", type=int, default=7, help="of each training; the demo's number")
    parser.add_argument("--json", type=Path, default=ROOT / "build" / "benchmarks" / "overhead.json")
    return parser.parse_args()


if __name__ == "__main__":
    main()
