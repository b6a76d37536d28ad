"""The demo's ten classes, the words they are searched by, and what each search is prone to find instead."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, kw_only=True)
class DemoClass:
    """A class of the catalogue (WordNet 3.0) and its search terms."""

    #: What is drawn for it, a name of `scenes.SCENES`.
    scene: str
    wnid: str
    lemmas: tuple[str, ...]
    gloss: str
    #: Search terms; where the class has an other sense, the first is the bare word that carries it.
    queries: tuple[str, ...]
    #: Scene of the class it is most often taken for.
    confusable: str
    #: Scenes of the word's second meaning; empty for a word with one.
    other_sense: tuple[str, ...] = ()


#: In order of class index. The crawl finds fewer pictures the later a class stands here.
CLASSES: Final = (
    DemoClass(
        scene="bicycle",
        wnid="n02834778",
        lemmas=("bicycle", "bike", "wheel", "cycle"),
        gloss="a wheeled vehicle that has two wheels and is moved by foot pedals",
        queries=("bicycle", "city bike", "bike with basket"),
        confusable="motorcycle",
    ),
    DemoClass(
        scene="corolla",
        wnid="n11691046",
        lemmas=("corolla",),
        gloss="(botany) the whorl of petals of a flower that collectively form an inner floral envelope or layer of "
        "the perianth",
        queries=("corolla", "flower corolla", "corolla petals"),
        confusable="daisy",
        other_sense=("car",),
    ),
    DemoClass(
        scene="apple",
        wnid="n07739125",
        lemmas=("apple",),
        gloss="fruit with red or yellow or green skin and sweet to tart crisp whitish flesh",
        queries=("apple", "red apple fruit", "ripe apples"),
        confusable="orange",
        other_sense=("laptop", "logo"),
    ),
    DemoClass(
        scene="bus",
        wnid="n02924116",
        lemmas=("bus", "autobus", "coach", "double-decker", "motorcoach", "omnibus"),
        gloss="a vehicle carrying many passengers; used for public transport",
        queries=("bus", "city bus", "double-decker"),
        confusable="car",
    ),
    DemoClass(
        scene="balloon",
        wnid="n02782093",
        lemmas=("balloon",),
        gloss="large tough nonrigid bag filled with gas or heated air",
        queries=("balloon", "hot air balloon"),
        confusable="parachute",
    ),
    DemoClass(
        scene="daisy",
        wnid="n11939491",
        lemmas=("daisy",),
        gloss="any of numerous composite plants having flower heads with well-developed ray flowers usually arranged "
        "in a single whorl",
        queries=("daisy", "daisy flower"),
        confusable="corolla",
    ),
    DemoClass(
        scene="car",
        wnid="n02958343",
        lemmas=("car", "auto", "automobile", "machine", "motorcar"),
        gloss="a motor vehicle with four wheels; usually propelled by an internal combustion engine",
        queries=("car", "automobile"),
        confusable="bus",
    ),
    DemoClass(
        scene="orange",
        wnid="n07747607",
        lemmas=("orange",),
        gloss="round yellow to orange fruit of any of several citrus trees",
        queries=("orange fruit", "juicy oranges"),
        confusable="apple",
    ),
    DemoClass(
        scene="parachute",
        wnid="n03888257",
        lemmas=("parachute", "chute"),
        gloss="rescue equipment consisting of a device that fills with air and retards your fall",
        queries=("parachute", "parachute jump"),
        confusable="balloon",
    ),
    DemoClass(
        scene="motorcycle",
        wnid="n03790512",
        lemmas=("motorcycle", "bike"),
        gloss="a motor vehicle with two wheels and a strong frame",
        queries=("motorcycle", "motor bike"),
        confusable="bicycle",
    ),
)

#: Scene -> class index.
CLASS_OF: Final = {known.scene: index for index, known in enumerate(CLASSES)}
#: (class index, term) of every query; query ids count from 1 in this order.
QUERIES: Final = tuple((index, term) for index, known in enumerate(CLASSES) for term in known.queries)
