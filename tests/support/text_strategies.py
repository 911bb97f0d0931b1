"""Random texts of every script, with what breaks offsets: marks, emoji, bidi, all kinds of space and line ends."""

from __future__ import annotations

from hypothesis import strategies as st

# fmt: off
_awkward = [
    "\n", "\n\n", "\r\n", "\t", " ", "   ", "\u00a0", "\u3000", "\u2028", "\u200b", "\ufeff", ". ", "! ", "。", "，",
    "é", "e\u0301\u0323", "\u0301", "😀", "👩\u200d👩\u200d👧", "🇩🇪", "𝔘", "ﷺ", "ﬁ", "İ", "ß", "각",
    "ㄱ", "\u00ad", "\ufffd",
    "שלום ", "مرحبا ", "\u202e", "灯台", "ประภาคาร", "ж", "word ", "Dr. ", "U.S. ", "3.14 ", "- item\n", "| a | b |\n",
    "# Head\n", "====\n", "```\n", "[SEP]", "don't ", "supercalifragilisticexpialidocious", "x" * 130, "0x1f;" * 20,
]
# fmt: on
_pieces = st.one_of(
    st.sampled_from(_awkward),
    st.text(max_size=12),
    st.lists(st.sampled_from(["the", "tower", "Was", "built,", "in", "1882.", "granite"]), max_size=30).map(" ".join),
)
wild_text = st.lists(_pieces, max_size=40).map("".join)
