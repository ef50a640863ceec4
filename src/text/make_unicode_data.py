#!/usr/bin/env python3
"""Writes unicode_data.inc, the character data that `tokenizers` works with.

That library puts together tables of several Unicode versions (its categories
are older than its normalisation, and that is older than its lowercase), so no
single Unicode library agrees with it. This script asks the wheel itself, one
code point at a time:

    pip install tokenizers && python make_unicode_data.py > unicode_data.inc
"""

import sys
import unicodedata

import tokenizers
from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers

CODE_POINTS = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]
HANGUL = range(0xAC00, 0xAC00 + 11172)  # decomposed by rule


def bert(**steps):
    """A BertNormalizer with only the steps that are named."""
    names = ("clean_text", "handle_chinese_chars", "strip_accents", "lowercase")
    return normalizers.BertNormalizer(**{n: steps.get(n, False) for n in names}).normalize_str


def word_characters():
    """What `\\w` matches where a token asks to be a single word."""
    tokenizer = Tokenizer(models.WordLevel({"?": 0}, unk_token="?"))
    tokenizer.add_tokens([AddedToken("<m>", single_word=True, normalized=False)])
    mark = tokenizer.token_to_id("<m>")
    return [c for c in CODE_POINTS if mark not in tokenizer.encode("<m>" + chr(c)).ids]


def combining_classes(decomposition):
    """The class of each mark, found by where NFD puts it among marks of known class."""
    nfd = normalizers.NFD().normalize_str
    lowest, highest = "\u0334", "\u0345"  # classes 1 and 240

    def moves(text):
        return nfd(text) != text

    marks = [chr(c) for c in CODE_POINTS if c not in decomposition and c not in HANGUL
             and (moves(highest + chr(c)) or moves(chr(c) + lowest))]
    probes = {unicodedata.combining(mark): mark for mark in reversed(marks)}
    classes = {ord(mark): min(k for k, probe in probes.items() if not moves(mark + probe))
               for mark in marks}
    known = [c for c in classes if unicodedata.combining(chr(c))]
    assert all(classes[c] == unicodedata.combining(chr(c)) for c in known), "a probe is wrong"
    return classes


def ranges(code_points):
    runs = []
    for c in sorted(code_points):
        if runs and runs[-1][1] == c - 1:
            runs[-1][1] = c
        else:
            runs.append([c, c])
    return runs


def print_rows(head, rows):
    print(head)
    line = "   "
    for row in rows:
        if len(line) + len(row) > 98:
            print(line)
            line = "   "
        line += " " + row + ","
    print(line + "\n};\n")


def print_ranges(comment, name, code_points):
    print(f"// {comment}")
    rows = (f"{{0x{a:X}, 0x{b:X}}}" for a, b in ranges(code_points))
    print_rows(f"constexpr Range {name}[] = {{", rows)


def main():
    clean, strip, lower = bert(clean_text=True), bert(strip_accents=True), bert(lowercase=True)
    nfd = normalizers.NFD().normalize_str
    pieces = {c: len(pre_tokenizers.BertPreTokenizer().pre_tokenize_str(f"a{chr(c)}a"))
              for c in CODE_POINTS}
    decomposition = {c: nfd(chr(c)) for c in CODE_POINTS
                     if c not in HANGUL and nfd(chr(c)) != chr(c)}

    print(f"// Made by make_unicode_data.py from tokenizers {tokenizers.__version__}; don't edit.\n"
          "// clang-format off\n")
    print_ranges("White space, to the pre-tokeniser and to `\\s`.", "kWhitespaceRanges",
                 [c for c in CODE_POINTS if pieces[c] == 2])
    print_ranges("What clean_text takes out.", "kRemovedRanges",
                 [c for c in CODE_POINTS if clean(chr(c)) == ""])
    print_ranges("Punctuation, to the pre-tokeniser.", "kPunctuationRanges",
                 [c for c in CODE_POINTS if pieces[c] == 3])
    print_ranges("Non-spacing marks, which strip_accents takes out.", "kNonspacingRanges",
                 [c for c in CODE_POINTS if c not in decomposition and strip(chr(c)) == ""])
    print_ranges("What `\\w` matches.", "kWordRanges", word_characters())

    by_class = {}
    for c, k in combining_classes(decomposition).items():
        by_class.setdefault(k, []).append(c)
    rows = sorted((a, b, k) for k, marks in by_class.items() for a, b in ranges(marks))
    print("// Canonical combining classes that are not 0.")
    print_rows("constexpr CombiningRange kCombiningRanges[] = {",
               (f"{{0x{a:X}, 0x{b:X}, {k}}}" for a, b, k in rows))

    print("// Full canonical decompositions, without Hangul: a code point, how many it becomes, "
          "and those.")
    print_rows("constexpr char32_t kDecompositions[] = {",
               (", ".join([f"0x{c:X}", str(len(d)), *(f"0x{ord(x):X}" for x in d)])
                for c, d in decomposition.items()))

    runs = []
    for c in CODE_POINTS:
        low = lower(chr(c))
        if low == chr(c):
            continue
        if len(low) > 1:  # U+0130 alone; unicode.cpp knows it
            assert (c, low) == (0x130, "i\u0307")
            continue
        delta = ord(low) - c
        last = runs[-1] if runs else None
        if last and last[3] == delta and c - last[1] <= 2 and last[2] in (0, c - last[1]):
            last[1], last[2] = c, c - last[1]
        else:
            runs.append([c, c, 0, delta])
    print("// Lowercase: every step-th code point from first to last moves by delta.")
    print_rows("constexpr LowercaseRange kLowercaseRanges[] = {",
               (f"{{0x{a:X}, 0x{b:X}, {s or 1}, {d}}}" for a, b, s, d in runs))
    print("// clang-format on")


if __name__ == "__main__":
    sys.exit(main())
