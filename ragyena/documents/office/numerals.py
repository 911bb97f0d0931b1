"""Numbers as lists, notes and pages write them: roman, letters, circled, Chinese and the like."""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["numeral"]

_ROMAN = (
    (1000, "m"), (900, "cm"), (500, "d"), (400, "cd"), (100, "c"), (90, "xc"),
    (50, "l"), (40, "xl"), (10, "x"), (9, "ix"), (5, "v"), (4, "iv"), (1, "i"),
)  # fmt: skip
_WORDS = [
    "Zero",
    "One",
    "Two",
    "Three",
    "Four",
    "Five",
    "Six",
    "Seven",
    "Eight",
    "Nine",
    "Ten",
    "Eleven",
    "Twelve",
    "Thirteen",
    "Fourteen",
    "Fifteen",
    "Sixteen",
    "Seventeen",
    "Eighteen",
    "Nineteen",
]
_TENS = ["Twenty", "Thirty", "Forty", "Fifty", "Sixty", "Seventy", "Eighty", "Ninety"]
_ORDINALS = [
    "Zeroth",
    "First",
    "Second",
    "Third",
    "Fourth",
    "Fifth",
    "Sixth",
    "Seventh",
    "Eighth",
    "Ninth",
    "Tenth",
    "Eleventh",
    "Twelfth",
    "Thirteenth",
    "Fourteenth",
    "Fifteenth",
    "Sixteenth",
    "Seventeenth",
    "Eighteenth",
    "Nineteenth",
]
_ALPHABETS = {
    "latin": "abcdefghijklmnopqrstuvwxyz",
    "russian": "абвгдежзиклмнопрстуфхцчшщыэюя",
    "aiueo": "アイウエオカキクケコサシスセソタチツテトナニヌネノハヒフヘホマミムメモヤユヨラリルレロワヲン",
    "iroha": "イロハニホヘトチリヌルヲワカヨタレソツネナラムウヰノオクヤマケフコエテアサキユメミシヱヒモセス",
    "ganada": "가나다라마바사아자차카타파하",
    "chosung": "ㄱㄴㄷㄹㅁㅂㅅㅇㅈㅊㅋㅌㅍㅎ",
    "stems": "甲乙丙丁戊己庚辛壬癸",
    "thai": "กขคงจฉชซฌญฎฏฐฑฒณดตถทธนบปผฝพฟภมยรลวศษสหฬอฮ",
    "hebrew": "אבגדהוזחטיכלמנסעפצקרשת",
    "arabic": "أبتثجحخدذرزسشصضطظعغفقكلمنهوي",
}


def numeral(number: int, style: str) -> str:
    """A number in a numbering style of OOXML (``lowerRoman``) or OpenDocument (``i``); other styles as digits.

    >>> numeral(4, "upperRoman"), numeral(28, "lowerLetter"), numeral(3, "decimalZero")
    ('IV', 'bb', '03')
    """
    write = _STYLES.get(style)
    return str(number) if write is None else write(number)


def _roman(number: int) -> str:
    if not 0 < number < 4000:
        return str(number)
    written = ""
    for value, letters in _ROMAN:
        written += letters * (number // value)
        number %= value
    return written


def _letters(number: int, alphabet: str = _ALPHABETS["latin"]) -> str:
    """a ... z, aa, bb ... as word processors count."""
    if not 0 < number <= 10 * len(alphabet):
        return str(number)
    return alphabet[(number - 1) % len(alphabet)] * ((number - 1) // len(alphabet) + 1)


def _circled(number: int) -> str:
    return chr(0x245F + number) if 0 < number <= 20 else str(number)


def _chinese(number: int) -> str:
    digits = "〇一二三四五六七八九"
    if not 0 < number < 100:
        return str(number) if number >= 1000 or number < 0 else "".join(digits[int(d)] for d in str(number))
    tens, ones = divmod(number, 10)
    return ("" if tens == 0 else "十" if tens == 1 else f"{digits[tens]}十") + (
        digits[ones] if ones or not tens else ""
    )


def _words(number: int) -> str:
    if not 0 <= number < 100:
        return str(number)
    if number < 20:
        return _WORDS[number]
    tens = _TENS[number // 10 - 2]
    return f"{tens}-{_WORDS[number % 10].lower()}" if number % 10 else tens


def _ordinal_words(number: int) -> str:
    if not 0 <= number < 100:
        return _ordinal(number)
    if number < 20:
        return _ORDINALS[number]
    tens = _TENS[number // 10 - 2]
    return f"{tens}-{_ORDINALS[number % 10].lower()}" if number % 10 else f"{tens[:-1]}ieth"


def _ordinal(number: int) -> str:
    ending = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"


def _chicago(number: int) -> str:
    return "*†‡§"[(number - 1) % 4] * ((number - 1) // 4 + 1) if 0 < number <= 40 else str(number)


def _in_alphabet(name: str) -> Callable[[int], str]:
    return lambda number: _letters(number, _ALPHABETS[name])


_STYLES: dict[str, Callable[[int], str]] = {
    "lowerRoman": _roman,
    "i": _roman,
    "upperRoman": lambda number: _roman(number).upper(),
    "I": lambda number: _roman(number).upper(),
    "lowerLetter": _letters,
    "a": _letters,
    "upperLetter": lambda number: _letters(number).upper(),
    "A": lambda number: _letters(number).upper(),
    "decimalZero": lambda number: f"{number:02d}",
    "ordinal": _ordinal,
    "cardinalText": _words,
    "ordinalText": _ordinal_words,
    "decimalEnclosedCircle": _circled,
    "decimalEnclosedCircleChinese": _circled,
    "decimalEnclosedParen": lambda number: f"({number})",
    "decimalEnclosedFullstop": lambda number: f"{number}.",
    "numberInDash": lambda number: f"- {number} -",
    "chicago": _chicago,
    "hex": lambda number: f"{number:X}",
    "none": lambda number: "",
    "chineseCounting": _chinese,
    "chineseCountingThousand": _chinese,
    "japaneseCounting": _chinese,
    "ideographDigital": _chinese,
    "taiwaneseCounting": _chinese,
    "taiwaneseCountingThousand": _chinese,
    "koreanCounting": _chinese,
    "一, 二, 三, ...": _chinese,
    "①, ②, ③, ...": _circled,
    "ideographTraditional": _in_alphabet("stems"),
    "russianLower": _in_alphabet("russian"),
    "russianUpper": lambda number: _letters(number, _ALPHABETS["russian"]).upper(),
    "aiueo": _in_alphabet("aiueo"),
    "aiueoFullWidth": _in_alphabet("aiueo"),
    "iroha": _in_alphabet("iroha"),
    "irohaFullWidth": _in_alphabet("iroha"),
    "ganada": _in_alphabet("ganada"),
    "chosung": _in_alphabet("chosung"),
    "thaiLetters": _in_alphabet("thai"),
    "hebrew1": _in_alphabet("hebrew"),
    "hebrew2": _in_alphabet("hebrew"),
    "arabicAlpha": _in_alphabet("arabic"),
}
