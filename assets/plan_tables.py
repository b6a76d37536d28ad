"""The tables of `winnow plan` on the terminal."""

from collections.abc import Mapping, Sequence

from rich.table import Table

from pipeline.planning.facts import Fact, whole
from pipeline.planning.plan import GB, Planner, Row, gpu_hours, total_seconds


def plan_table(planner: Planner, rows: Sequence[Row]) -> Table:
    """One row a stage: time, what stays on the disk, memory, GPU-hours."""
    machine = planner.machine
    table = _table(f"Plan for {machine.name}", "stage", "times", "time", "disk", "memory", "GPU-hours")
    table.caption = "Networks: assumed from FLOPs and the stated peak." if _assumed(planner) else "From measured rates."
    for row in rows:
        held = f"{gpu_hours([row], machine.gpus):.2f}" if row.network and machine.gpus else ""
        times = str(len(row.partitions))
        table.add_row(row.stage, times, span(row.seconds), size(row.disk), size(row.memory_mb * 1e6), held)
    hours = f"{gpu_hours(rows, machine.gpus):.2f}" if machine.gpus else ""
    disk, memory = sum(row.disk for row in rows), max(row.memory_mb for row in rows)
    table.add_section()
    table.add_row("all", "", span(total_seconds(rows)), size(disk), size(memory * 1e6), hours)
    return table


def _assumed(planner: Planner) -> bool:
    return planner.rates.device == "gpu"


def recipe_plan_table(
    planners: Sequence[Planner], shares: Mapping[str, float], adds: Mapping[str, Sequence[tuple[float, float, float]]]
) -> Table:
    """One row a recipe: images of its epochs, and what it adds to the others of the run with the teachers it brings."""
    names = [planner.machine.name for planner in planners]
    columns = [f"{what}, {name}" for name in names for what in ("time", "disk", "GPU-hours")]
    table = _table("What each recipe adds", "recipe", "asked for", "images/epoch", *columns)
    for recipe, told in adds.items():
        asked = "yes" if recipe in planners[0].asked.recipes else ""
        share = f"{shares.get(recipe, 1.0) * planners[0].crawl.train:,.0f}"
        cells = []
        for planner, (seconds, disk, hours) in zip(planners, told, strict=True):
            cells += [span(seconds), size(disk), f"{hours:.2f}" if planner.machine.gpus else ""]
        table.add_row(recipe, asked, share, *cells)
    return table


def fact_table(rows: Sequence[Row], facts: Mapping[str, Fact]) -> Table:
    """Plan beside fact; the totals are of those stages that have been made as they were planned."""
    table = _table("Plan beside fact", "stage", "planned", "fact", "fact / plan", "disk", "fact", "memory", "fact")
    for row in rows:
        fact = facts.get(row.stage)
        cells = ["-"] * 3
        if fact is not None and whole(row, fact):
            cells = [span(fact.seconds), size(fact.disk), size(fact.memory_mb * 1e6)]
        seconds, disk, memory = cells
        ratio = f"{fact.seconds / row.seconds:.2f}" if fact is not None and seconds != "-" and row.seconds else "-"
        planned = size(row.disk), size(row.memory_mb * 1e6)
        table.add_row(row.stage, span(row.seconds), seconds, ratio, planned[0], disk, planned[1], memory)
    done = [row for row in rows if whole(row, facts.get(row.stage))]
    made = [facts[row.stage] for row in done]
    planned_s, took = total_seconds(done), sum(fact.seconds for fact in made)
    table.add_section()
    table.add_row(
        "all that is made",
        span(planned_s),
        span(took),
        f"{took / planned_s:.2f}" if planned_s else "-",
        size(sum(row.disk for row in done)),
        size(sum(fact.disk for fact in made)),
        size(max((row.memory_mb for row in done), default=0) * 1e6),
        size(max((fact.memory_mb for fact in made), default=0) * 1e6),
    )
    return table


def _table(title: str, first: str, *others: str) -> Table:
    table = Table(title=title)
    table.add_column(first, overflow="fold")
    for name in others:
        table.add_column(name, justify="right")
    return table


def span(seconds: float) -> str:
    """A time for people."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 3600 else f"{seconds / 3600:.1f} h"


def size(count: float) -> str:
    """Bytes for people."""
    for unit, factor in (("GB", GB), ("MB", 1e6)):
        if count >= factor:
            return f"{count / factor:.1f} {unit}"
    return f"{count / 1e3:.0f} kB"
