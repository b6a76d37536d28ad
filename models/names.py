"""Names of networks, checked where no torch is imported, so that a wrong one is refused at once."""

import difflib
import importlib.util
import re
from typing import Final

#: Networks built here: those of the source's tables, by torchvision's names where it has them, and smaller ones.
_RESNETS: Final = (
    "resnet18",
    "resnet34",
    "resnet50",
    "resnet101",
    "resnet152",
    "resnet200",
    "se-resnet50",
    "se-resnet152",
    "resnext101_32x8d",
    "resnext101_64x4d",
)
SMALL: Final = "-small"  # a stem for images of about 32 to 64 pixels
#: All of them, each with its usual stem and with the small one.
NETWORK_NAMES: Final = (*_RESNETS, *(name + SMALL for name in _RESNETS))
#: Libraries that any other network may be taken from, as `torchvision:convnext_tiny` or `timm:vit_tiny_patch16_224`.
LIBRARIES: Final = ("torchvision", "timm")
_NAME = re.compile(r"[a-z0-9_]+")  # no tag and no address: nothing that a library would look for on a network


def check_network(name: str) -> None:
    """Refuse what cannot be a network. Whether a library has one of that name is known once it is built.

    Raises:
        ValueError: no network here is called that, which offers the nearest; or the library is not installed.
    """
    library, colon, own = name.partition(":")
    if not colon:
        if name not in NETWORK_NAMES:
            others = ", ".join(f"{each}:NAME" for each in LIBRARIES)
            raise ValueError(f"network {unknown(name, NETWORK_NAMES)}, or any other as {others}")
    elif library not in LIBRARIES or not _NAME.fullmatch(own):
        raise ValueError(f"network {name!r} must be LIBRARY:NAME, of {' or '.join(LIBRARIES)}, the name of a-z, 0-9, _")
    elif importlib.util.find_spec(library) is None:
        raise ValueError(f"network {name!r} needs {library}, which is not installed: pip install {library}")


def unknown(name: str, known: tuple[str, ...]) -> str:
    """What to say of a name that is none of those known."""
    nearest = difflib.get_close_matches(name, known, n=1, cutoff=0)[0]
    return f"{name!r} is unknown: did you mean {nearest!r}? There are {', '.join(known)}"
