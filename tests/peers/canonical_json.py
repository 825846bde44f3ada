"""Random JSON documents with the canonical form that securesystemslib gives them.

    canonical_json.py SEED COUNT

Prints one document a line: "<expectation> TAB <JSON text> TAB <canonical bytes in base64>".
Expectations:
  same     both encode it, to the same bytes
  refused  neither encodes it (the third field is empty)
  strict   securesystemslib takes it, our reader does not by design: an integer beyond 64 bits, a
           negative zero, a key twice
The text of a document is varied too: escaped or not, with or without white space.
"""

import base64
import json
import random
import sys

from securesystemslib.exceptions import FormatError
from securesystemslib.formats import encode_canonical

# What encoders get wrong: quotes, controls, line ends of other alphabets, both sides of the
# surrogate range (code point order differs from UTF-16 order), the last code point.
ODD = '"\\/\x00\x01\b\t\n\f\r\x1b\x1f\x7f\x80\x85\xa0é\u0301\u2028\u2029\ud7ff\ue000\uff5e\ufffd\uffff'
ASTRAL = "\U00010000\U0001f600\U0001f601\U0010ffff"
EDGES = [0, 1, -1, 2**31, -(2**31) - 1, 2**53, 2**53 + 1, -(2**53) - 1]
EDGES += [2**63 - 1, 2**63, -(2**63), 2**64 - 1]
# Stands for a number that json.dumps cannot write.
PLACEHOLDER = 770_770_770_770
DEPTH_MAX = 6


def text(rng):
    letters = [chr(rng.randrange(0x20, 0x7F)) for _ in range(rng.randrange(6))]
    letters += rng.choices(ODD + ASTRAL, k=rng.randrange(5))
    if rng.random() < 0.2:
        letters.append(chr(rng.choice([rng.randrange(0xD800), rng.randrange(0xE000, 0x110000)])))
    rng.shuffle(letters)
    return "".join(letters)


def value(rng, depth=0):
    kind = rng.randrange(8 if depth < DEPTH_MAX else 5)
    if kind == 0:
        return rng.choice([None, True, False])
    if kind == 1:
        return rng.choice(EDGES)
    if kind == 2:
        return rng.randrange(-(2 ** rng.randrange(1, 64)), 2 ** rng.randrange(1, 64))
    if kind in (3, 4):
        return text(rng)
    if kind == 5:
        return [value(rng, depth + 1) for _ in range(rng.randrange(5))]
    return {text(rng): value(rng, depth + 1) for _ in range(rng.randrange(6))}


def written(rng, document):
    separators = rng.choice([(",", ":"), (", ", " : ")])
    return json.dumps(document, ensure_ascii=rng.random() < 0.5, separators=separators)


def with_number(rng, number):
    """A document that has this number, as written, somewhere inside."""
    document = [value(rng, 3), {text(rng): PLACEHOLDER}, value(rng, 3)]
    return written(rng, document).replace(str(PLACEHOLDER), number)


def draw(rng):
    kind = rng.randrange(20)
    if kind == 0:
        fraction = rng.uniform(-1e6, 1e6)
        return with_number(rng, rng.choice(["1.0", "-0.0", "1e3", "2E-2", "1e400", repr(fraction)]))
    if kind == 1:
        beyond = 2 ** rng.randrange(65, 300)
        return with_number(rng, rng.choice(["-0", str(2**64), str(-(2**63) - 1), str(-beyond)]))
    if kind == 2:
        key = json.dumps(text(rng))
        return f"{{{key}: 1, {key}: {written(rng, value(rng, 4))}}}"
    if kind == 3:
        return rng.choice(['"\\ud800"', '{"\\udc00x": 1}', '["\\ude00\\ud83d"]'])
    return written(rng, value(rng))


def is_strict(line):
    """Whether our reader refuses it by design, judged from the text alone."""

    def integer(digits):
        if digits == "-0" or not -(2**63) <= int(digits) < 2**64:
            raise ArithmeticError
        return int(digits)

    def members(pairs):
        if len({key for key, _ in pairs}) < len(pairs):
            raise ArithmeticError
        return dict(pairs)

    try:
        json.loads(line, parse_int=integer, object_pairs_hook=members)
    except ArithmeticError:
        return True
    return False


def main(seed, count):
    rng = random.Random(seed)
    for _ in range(count):
        line = draw(rng)
        try:
            canonical = encode_canonical(json.loads(line)).encode()
            expectation = "strict" if is_strict(line) else "same"
        except (FormatError, UnicodeEncodeError):
            canonical, expectation = b"", "refused"
        row = [expectation.encode(), line.encode(), base64.b64encode(canonical)]
        sys.stdout.buffer.write(b"\t".join(row) + b"\n")


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
