"""Where the words of texts lie."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from plainbert.tasks.ner.words import SplitText, split
from tests.helpers import folders

TINY = folders.tokenizer()


def test_words_joined_by_blanks() -> None:
    words = ["the", "", "cat", "\u200b"]

    text = SplitText.joined(words)

    assert text.text == "the  cat \u200b"
    assert text.words == words
    assert SplitText.joined(()) == SplitText("", [])


@given(text=st.text(alphabet="aAbé .,-'\u0301\u200b\u3000\n猫日İ🙂\ud800#", max_size=20))
def test_any_text_is_split_without_overlap(text: str) -> None:
    places = split(TINY, text).offsets

    assert all(start < end for start, end in places)
    assert all(one[1] <= two[0] for one, two in zip(places, places[1:], strict=False))
    rest = [
        text[place]
        for place in range(len(text))
        if not any(start <= place < end for start, end in places)
    ]
    assert not any(char.isalnum() or char in ".,-'#" for char in rest)
    # The words, each on its own, are the pieces of the whole text.
    if "#" not in text and "\u0301" not in text:
        apart = [piece for start, end in places for piece in TINY.ids(text[start:end])]
        assert apart == TINY.ids(text)
