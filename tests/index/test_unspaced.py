"""Text written without spaces: how it is taken apart, and that it is found."""

from __future__ import annotations

from pathlib import Path

import pytest

from ragyena.config import IndexConfig, PipelineConfig
from ragyena.index.index import Index
from ragyena.index.unspaced import phrases, separate

TEXTS = {
    "library": "图书馆的开放时间是上午九点。",
    "tower": "晴空塔建于二○一二年，高六百三十四米。",
    "pool": "プールは午前八時に開きます。入場料は五百円です。",
    "zoo": "動物園の入口は駅の北にあります。ﾍﾟﾝｷﾞﾝもいます。",
    "thai": "พิพิธภัณฑ์ริมแม่น้ำเปิดทำการเวลาเก้านาฬิกา",
    "market": "ตลาดน้ำขายผลไม้และอาหารทะเลสด",
    "korean": "도서관은 월요일에 쉽니다.",
    "phone": "Der iPhone手机 kostet ９００ Euro.",
    "english": "The library opens at nine.",
}


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Index:
    settings = PipelineConfig(index=IndexConfig(passage_tokens=64))
    with Index.create(tmp_path_factory.mktemp("texts") / "index", settings=settings) as made:
        made.add(TEXTS)
        yield made


@pytest.mark.parametrize(
    ("query", "source"),
    [
        ("图书馆几点开放？", "library"),
        ("塔", "tower"),
        ("プールは何時に開きますか", "pool"),
        ("ペンギン", "zoo"),
        ("พิพิธภัณฑ์เปิดกี่โมง", "thai"),
        ("ผลไม้", "market"),
        ("도서관", "korean"),
        ("iPhone", "phone"),
        ("手机 900 Euro", "phone"),
        ("library", "english"),
    ],
)
def test_it_is_found_by_its_characters(index: Index, query: str, source: str) -> None:
    matches = index.search(query, k=3, settings={"retriever.mode": "lexical"})
    assert matches[0].passage.source == source


def test_the_answer_at_the_end_of_a_long_text_is_first(tmp_path: Path) -> None:
    filler = "这是一段没有空格的文字，用于填充长度。" * 60
    with Index.create(tmp_path / "index") as index:
        index.add({"city": f"晴空塔建于二○一二年，高六百三十四米。{filler}图书馆的开放时间是上午九点。"})
        for mode in ("hybrid", "lexical"):
            best = index.search("图书馆的开放时间是几点？", k=5, settings={"retriever.mode": mode})[0]
            assert best.passage.text.endswith("图书馆的开放时间是上午九点。")


@pytest.mark.parametrize(
    ("text", "spaced", "characters"),
    [
        ("plain text", "plain text", ""),
        ("naïve café", "naïve café", ""),
        ("开放时间 open", "  open", "开 放 时 间"),
        ("开放，ABC时间", " ,ABC ", "开 放 · 时 间"),
        ("ＡＢＣ", "ABC", ""),
        ("ｶﾒﾗ", " ", "カ メ ラ"),
        ("น้ำ", " ", "น ้ ํ า"),
    ],
)
def test_taking_apart(text: str, spaced: str, characters: str) -> None:
    assert separate(text) == (spaced, characters)


def test_phrases_of_a_query() -> None:
    assert phrases("时间表 now 表") == ["时", "时 间", "间", "间 表", "表"]
    assert phrases("กข") == ["ก ข"]
    assert phrases("กขคง") == ["ก ข ค", "ข ค ง"]
    assert phrases("now") == []
