"""English singulars and plurals of the words a class is called by."""

from typing import Final

#: Names that only exist as plurals: without their s they mean something else.
_ONLY: Final = """
arms boxers briefs clothes glasses goggles goods jeans overalls pants scales shades shorts slacks spectacles tights
trunks
"""
ONLY_PLURAL: Final = frozenset(_ONLY.split())
_IRREGULAR: Final = {
    "child": "children",
    "foot": "feet",
    "goose": "geese",
    "man": "men",
    "mouse": "mice",
    "tooth": "teeth",
    "woman": "women",
}
_REGULAR: Final = {plural: singular for singular, plural in _IRREGULAR.items()}
_HISSING: Final = ("s", "x", "z", "ch", "sh")


def singular(word: str) -> str:
    """The singular of a plural; any other word as it is."""
    if word in _REGULAR:
        return _REGULAR[word]
    if word in ONLY_PLURAL or len(word) < 4 or not word.endswith("s") or word.endswith(("ss", "us", "is")):
        return word
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    return word[:-2] if word[:-2].endswith(("ss", "x", "z", "ch", "sh")) and word.endswith("es") else word[:-1]


def plurals(word: str) -> tuple[str, ...]:
    """How the plural of a singular may be written; none where it is no plain English word."""
    if word in _IRREGULAR:
        return (_IRREGULAR[word],)
    if len(word) < 3 or not (word.isascii() and word.isalpha()) or word in ONLY_PLURAL:
        return ()
    if word.endswith(_HISSING):
        return (word + "es",)
    if word.endswith("y") and word[-2] not in "aeiou":
        return (word[:-1] + "ies",)
    if word.endswith("f"):
        return (word + "s", word[:-1] + "ves")
    return (word + "s", word[:-2] + "ves") if word.endswith("fe") else (word + "s",)
