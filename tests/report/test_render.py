import pytest

from pipeline.visible import visible


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain äöü 猫 مرحبا", "plain äöü 猫 مرحبا"),
        ("a\u202egnp.exe", "a⟨U+202E⟩gnp.exe"),
        ("a\nb\tc\0", "a⟨U+000A⟩b⟨U+0009⟩c⟨U+0000⟩"),
        ("zero\u200bwidth\u2066\u2069", "zero⟨U+200B⟩width⟨U+2066⟩⟨U+2069⟩"),
        ("<b>", "<b>"),  # the template escapes
    ],
)
def test_hidden_characters_are_spelt_out(text: str, shown: str) -> None:
    assert visible(text) == shown


def test_long_texts_are_cut() -> None:
    assert visible("x" * 300) == "x" * 300
    assert visible("x" * 100_000) == "x" * 300 + "…"
