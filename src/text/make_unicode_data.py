#!/usr/bin/env python3
"""Writes unicode_data.inc, the character data that `tokenizers` works with.

That library puts together tables of several Unicode versions (its categories
are older than its normalisation, and that is older than its lowercase), so no
single Unicode library agrees with it. This script asks the wheel itself, one
code point at a time (Python must not be newer than 3.12: UNICODE_OF_PCRE2 below):

    pip install tokenizers && python make_unicode_data.py > unicode_data.inc
"""

import struct
import sys
import unicodedata

import tokenizers
from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers

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


def matching(pattern):
    """What a regular expression of `tokenizers` (Oniguruma's) matches."""
    replace = normalizers.Replace(Regex(pattern), "").normalize_str
    return {c for c in CODE_POINTS if replace(chr(c)) == ""}


def charsmap(keys):
    """A `precompiled_charsmap` that makes "X" of each key, a character. Its trie is Darts-clone's."""
    trie = {}
    for key in keys:
        node = trie
        for byte in key.encode():
            node = node.setdefault(byte, {})
        node[None] = True
    units = {0: 0}
    following = [1]

    def place(node, at):
        # Units of 256 slots each, one block a node: wasteful, and simple.
        base = following[0] * 256
        following[0] += 1
        offset = at ^ base
        assert offset < 1 << 29
        encoded = offset << 10 if offset < 1 << 21 else (offset >> 8) << 10 | 1 << 9
        assert offset < 1 << 21 or offset % 256 == 0
        units[at] |= encoded | (1 << 8 if None in node else 0)
        if None in node:
            units[base] = 1 << 31
        for byte in (b for b in node if b is not None):
            units[base ^ byte] = byte
            place(node[byte], base ^ byte)

    place(trie, 0)
    blob = struct.pack(f"<{following[0] * 256}I", *(units.get(i, 0) for i in range(following[0] * 256)))
    return struct.pack("<I", len(blob)) + blob + b"X\0"


def grapheme_classes():
    """What bounds the clusters that `Precompiled` works on, probed by what it takes for one cluster."""
    normalize = normalizers.Precompiled(charsmap(["a", "\u00a9"])).normalize_str
    extend = {c for c in CODE_POINTS if c != 0 and normalize("a" + chr(c)) == "X"}
    pictographic = [c for c in CODE_POINTS
                    if c not in extend and normalize("\u00a9\u200d" + chr(c)) != "X" + normalize(chr(c))]
    # A control character keeps no mark: the mark stands behind what it became.
    others = [c for c in CODE_POINTS if unicodedata.category(chr(c)) in ("Cc", "Cf", "Zl", "Zp", "Cn", "Lo", "Co")]
    prepend, control = [], []
    for start in range(0, len(others), 2000):
        some = [c for c in others[start:start + 2000] if c not in (0, 0x61)]
        probe = normalizers.Precompiled(charsmap([chr(c) for c in some])).normalize_str
        prepend += [c for c in some if len(chr(c).encode()) < 5 and c not in extend and probe(chr(c) + "a") == "X"]
        control += [c for c in some if len(chr(c).encode()) < 4 and probe(chr(c) + "\u0301") == "X\u0301"]
    return extend, pictographic, prepend, control


def compositions():
    """Pairs of code points that NFC makes one of."""
    nfc, nfd = normalizers.NFC().normalize_str, normalizers.NFD().normalize_str
    pairs = []
    for c in CODE_POINTS:
        if c in HANGUL or len(nfd(chr(c))) < 2 or nfc(nfd(chr(c))) != chr(c):
            continue
        parts = [int(x, 16) for x in unicodedata.decomposition(chr(c)).split()]
        assert len(parts) == 2 and nfc(chr(parts[0]) + chr(parts[1])) == chr(c), hex(c)
        pairs.append((*parts, c))
    return sorted(pairs)


# The categories of Unicode 14, which PCRE2 has had since 10.40: what `tokenizers` adds to them is spelled out.
UNICODE_OF_PCRE2 = "14.0.0"


def newer_members():
    """Code points that a regular expression of `tokenizers` finds in a category and Unicode 14 does not."""
    assert unicodedata.unidata_version <= UNICODE_OF_PCRE2
    two = sorted({unicodedata.category(chr(c)) for c in CODE_POINTS} - {"Cn", "Co", "Cs"})
    for name in two:
        old = {c for c in CODE_POINTS if unicodedata.category(chr(c)) == name}
        new = matching(rf"\p{{{name}}}")
        yield name, sorted(new - old)


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

    nfkd, accents = normalizers.NFKD().normalize_str, normalizers.StripAccents().normalize_str
    rows = ((c, nfkd(chr(c))) for c in CODE_POINTS
            if c not in HANGUL and nfkd(chr(c)) != decomposition.get(c, chr(c)))
    print("// Full compatibility decompositions that are not the canonical ones.")
    print_rows("constexpr char32_t kCompatibility[] = {",
               (", ".join([f"0x{c:X}", str(len(d)), *(f"0x{ord(x):X}" for x in d)]) for c, d in rows))
    print("// Canonical compositions: two code points, and the one that they become.")
    print_rows("constexpr char32_t kCompositions[] = {",
               (f"0x{a:X}, 0x{b:X}, 0x{c:X}" for a, b, c in compositions()))
    print_ranges("Marks, to StripAccents.", "kMarkRanges", [c for c in CODE_POINTS if accents(chr(c)) == ""])
    print_ranges("`\\p{L}`.", "kLetterRanges", matching(r"\p{L}"))
    print_ranges("`\\p{N}`.", "kNumberRanges", matching(r"\p{N}"))
    digits = pre_tokenizers.Digits(individual_digits=True).pre_tokenize_str
    print_ranges("Numeric, to Digits.", "kNumericRanges",
                 [c for c in CODE_POINTS if len(digits(f"a{chr(c)}a")) == 3])
    print_ranges("`\\w` of a pattern (that of the added tokens is another).", "kPatternWordRanges",
                 matching(r"\w"))
    names = ("Extend", "Pictographic", "Prepend", "Control")
    for name, members in zip(names, grapheme_classes(), strict=True):
        print_ranges(f"Grapheme clusters: {name.lower()}.", f"k{name}Ranges", members)
    rows = [f"{{0x{ord(n[0]) << 8 | ord(n[1]):X}, 0x{a:X}, 0x{b:X}}}" for n, new in newer_members()
            for a, b in ranges(new)]
    print("// What Unicode 14 lacks of the categories (two letters, as a number) of the patterns' Unicode.")
    print_rows("constexpr CategoryRange kNewerRanges[] = {", rows)

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
