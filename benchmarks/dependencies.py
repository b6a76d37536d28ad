"""What is installed: licences, known holes, consistency.

    python -m benchmarks.dependencies [--out docs/licences.md]

Prints every pinned package with its version, its licence and what needs it; exit status 1 where a licence is not on the
list of those that were read and found fit, a version is older than one with a known hole, or `pip check` complains. No
database of holes is asked, for that needs a network: `pip-audit -r constraints.txt` does.
"""

import argparse
import contextlib
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from typing import Final

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT: Final = Path(__file__).resolve().parents[1]
#: Licences under which a package may be used unmodified in a service or a product, closed ones too. The LGPL's and
#: MPL's duties are about changes to the package itself. NVIDIA's libraries come with PyTorch's CUDA build: they may be
#: used, and handed on only as NVIDIA's own terms allow.
FIT: Final = frozenset(
    {
        *("0BSD", "Apache-2.0", "Apache-2.0 WITH LLVM-exception", "BSD", "BSD-2-Clause", "BSD-3-Clause", "BSL-1.0"),
        *("CC0-1.0", "CNRI-Python", "ISC", "LGPL", "MIT", "MIT-0", "MIT-CMU", "MPL-2.0", "PSF-2.0", "Zlib"),
        "NVIDIA",
    }
)
#: How packages that give no SPDX expression call theirs.
_SPELLINGS: Final = {
    "2-clause bsd license": "BSD-2-Clause",
    "3-clause bsd license": "BSD-3-Clause",
    "apache": "Apache-2.0",
    "apache 2.0": "Apache-2.0",
    "apache 2.0 license": "Apache-2.0",
    "apache license": "Apache-2.0",
    "apache license 2.0": "Apache-2.0",
    "apache software license": "Apache-2.0",
    "bsd license": "BSD",
    "gnu library or lesser general public license (lgpl)": "LGPL",
    "isc license (iscl)": "ISC",
    "licenseref-nvidia-proprietary": "NVIDIA",
    "mit license": "MIT",
    "mozilla public license 2.0 (mpl 2.0)": "MPL-2.0",
    "nvidia proprietary software": "NVIDIA",
    "python software foundation license": "PSF-2.0",
}
#: Packages whose metadata say nothing of use, or only "proprietary"; by the start of their names.
_READ: Final = {"nvidia-": "NVIDIA", "cuda-toolkit": "NVIDIA"}
#: The first versions without a hole that was published and matters here.
FLOORS: Final = {"torch": "2.10", "pyarrow": "26", "pillow": "12.2", "ray": "2.54"}


@dataclass(frozen=True)
class Package:
    """One pinned package."""

    name: str
    version: str
    licence: str  # an SPDX expression, or our name for it; empty where it is not installed here
    needed: str  # by what: always, or an extra; empty where nothing installed here asks for it


def pins(constraints: Path) -> dict[str, str]:
    """Name -> version of every package that a file of constraints pins."""
    lines = (line.split("#")[0].strip() for line in constraints.read_text().splitlines())
    return dict(line.split("==") for line in lines if line)


def licence_of(package: Distribution) -> str:
    """What a package says of its licence; "unknown" where that is nothing."""
    told = package.metadata
    name = canonicalize_name(told["Name"])
    for start, licence in _READ.items():
        if name.startswith(start):
            return licence

    def said(field: str) -> str:
        return next(iter(told.get_all(field) or []), "").strip().split("\n")[0]

    classified = [each.split(" :: ")[-1] for each in told.get_all("Classifier") or [] if each.startswith("License ::")]
    named = " AND ".join(each for each in classified if each != "OSI Approved")
    first = said("License-Expression") or named or said("License") or "unknown"
    return " AND ".join(_SPELLINGS.get(part.lower(), part) for part in first.split(" AND "))


def unfit(licence: str) -> bool:
    """Whether an expression asks for a licence that is not on our list; of alternatives one suffices."""
    alternatives = (part.strip("() ") for part in licence.split(" OR "))
    return not any(all(each.strip("() ") in FIT for each in part.split(" AND ")) for part in alternatives)


def needs(project: Path) -> dict[str, str]:
    """Canonical name -> what asks for it first on this machine: "always", or one of our extras in their order."""
    told = tomllib.loads(project.read_text())["project"]
    parts: dict[str, list[str]] = {"always": told["dependencies"], **told["optional-dependencies"]}
    found: dict[str, str] = {}
    for part, requirements in parts.items():
        for name in _closure([each for each in map(Requirement, requirements) if each.name != told["name"]]):
            found.setdefault(name, part)
    return found


def _closure(requirements: Iterable[Requirement]) -> set[str]:
    """Canonical names of what is required, and of what that requires, where it is installed."""
    waiting, seen = list(requirements), set[tuple[str, frozenset[str]]]()
    while waiting:
        asked = waiting.pop()
        own, extras = canonicalize_name(asked.name), frozenset({"", *asked.extras})
        if (own, extras) in seen:
            continue
        seen.add((own, extras))
        with contextlib.suppress(PackageNotFoundError):
            told = map(Requirement, distribution(own).requires or [])
            waiting += [each for each in told if _applies(each, extras)]
    return {own for own, _ in seen}


def _applies(requirement: Requirement, extras: Iterable[str]) -> bool:
    marker = requirement.marker
    return marker is None or any(marker.evaluate({"extra": each}) for each in extras)


def packages(root: Path = ROOT) -> Iterator[Package]:
    """All that is pinned, in the order of their names."""
    needed = needs(root / "pyproject.toml")
    for name, version in sorted(pins(root / "constraints.txt").items(), key=lambda pin: canonicalize_name(pin[0])):
        try:
            licence = licence_of(distribution(name))
        except PackageNotFoundError:
            licence = ""
        yield Package(name, version, licence, needed.get(canonicalize_name(name), ""))


def complaints(found: Iterable[Package]) -> Iterator[str]:
    """What is wrong with them, in words."""
    for one in found:
        if one.licence and unfit(one.licence):
            yield f"{one.name} {one.version}: its licence, {one.licence}, is not on the list"
        floor = FLOORS.get(canonicalize_name(one.name))
        if floor and Version(one.version) < Version(floor):
            yield f"{one.name} {one.version}: {floor} is the first version without a known hole"
    checked = subprocess.run([sys.executable, "-m", "pip", "check"], capture_output=True, text=True, check=False)
    if checked.returncode:
        yield from checked.stdout.splitlines()


def page(found: Iterable[Package]) -> str:
    """docs/licences.md."""
    rows = [f"| {one.name} | {one.version} | {one.licence} | {one.needed} |" for one in found]
    head = f"""# Licences of what is installed

Every package that `constraints.txt` pins, with the licence that its own metadata tell, and what needs it: Winnow itself
(always), or an extra of `pyproject.toml`. A package without a licence is not installed on the machine that wrote this
page. Fit for use in a closed product, the packages unmodified, are: {_list(sorted(FIT, key=str.lower))}.

Any other licence fails the command:

```sh
python -m benchmarks.dependencies --out docs/licences.md
```

It also fails where a package is older than {_list(f"{name} {version}" for name, version in FLOORS.items())}, whose
older versions have known holes, or where `pip check` complains. It asks no database: where there is a network,
`pip-audit -r constraints.txt` does.

| package | version | licence | needed by |
| --- | --- | --- | --- |
"""
    return head + "\n".join(rows) + "\n"


def _list(words: Iterable[str]) -> str:
    """`a, b and c`."""
    *first, last = words
    return f"{', '.join(first)} and {last}"


def main() -> None:
    """Print the table, or write the page; say what is wrong."""
    parser = argparse.ArgumentParser(description="Licences and known holes of what is installed.")
    parser.add_argument("--out", type=Path, help="page to write instead of printing the table")
    options = parser.parse_args()
    found = list(packages())
    if options.out is None:
        print(page(found))
    else:
        options.out.write_text(page(found))
    wrong = list(complaints(found))
    print(*wrong, f"{len(found)} packages, {len(wrong)} complaints", sep="\n", file=sys.stderr)
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
