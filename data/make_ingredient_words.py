"""Write the tables by which the reader of ingredient cells tells names from prose.

    python data/make_ingredient_words.py --cosing cosing.csv.gz --products products.json.gz

It rewrites words.csv and trigrams.csv in beautybert/cls/tables/. Names are those of the CosIng
inventory (column inci_name), prose is the descriptions of products in the layout of Amazon 2018.
The same files give the same tables.

words.csv: word, score (tenths of a nat: log-odds between a name and prose), position (s: names
start with it, e: they end with it). trigrams.csv: trigram of a word between ^ and $, score; for
words that are in no table.
"""

import argparse
import csv
import gzip
import html
import json
import math
import re
from collections import Counter

from beautybert.cls.words import TABLES, WORD

MOST = 5.0  # nats; no word proves more
SURE = 2.5  # nats of a word that is a whole name, such as mica: lists have it oftener than CosIng
MENTIONED = (
    600  # times in prose; a rarer word of several names is an ingredient that prose mentions
)


def words_of(text):
    """The words of a text in lower case."""
    return [word.casefold() for word in WORD.findall(text)]


def trigrams_of(word):
    """The trigrams of a word between ^ and $."""
    padded = f"^{word}$"
    return [padded[i : i + 3] for i in range(len(padded) - 2)]


def log_odds(in_names, in_prose, num_names, num_prose):
    """How much likelier something is in names, in nats, with half a count added to each side."""
    return math.log((in_names + 0.5) / num_names) - math.log((in_prose + 0.5) / num_prose)


def read_names(path):
    """The names of the inventory."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return [row["inci_name"] for row in csv.DictReader(file)]


def read_prose(path):
    """The descriptions of the products."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return [html.unescape(text) for line in file for text in json.loads(line)["description"]]


def word_rows(names, in_names, in_prose):
    """The rows of words.csv."""
    num_names, num_prose = in_names.total(), in_prose.total()
    starts, ends, whole = Counter(), Counter(), set()
    for name in names:
        words = words_of(re.sub(r"\([^()]*\)", " ", name))
        if words:
            starts[words[0]] += 1
            ends[words[-1]] += 1
        if len(words_of(name)) == 1 and not re.search(r"\d", name):
            whole.update(words_of(name))
    rows = []
    for word in sorted(set(in_names) | set(in_prose)):
        if in_names[word] < 2 and in_prose[word] < 6 and word not in whole:
            continue
        score = log_odds(in_names[word], in_prose[word], num_names, num_prose)
        if word in whole and in_prose[word] < 2000:
            score = max(score, SURE if len(word) > 3 else 1.5)
        if in_names[word] >= 4 and in_prose[word] < MENTIONED:
            score = max(score, -0.5)
        is_free = word in whole or in_names[word] < 5  # too rare to say where names have it
        can_start = is_free or 12 * starts[word] >= in_names[word]
        can_end = is_free or 12 * ends[word] >= in_names[word]
        position = "s" * can_start + "e" * can_end
        rows.append((word, round(10 * max(-MOST, min(MOST, score))), position))
    return rows


def trigram_rows(in_names, in_prose):
    """The rows of trigrams.csv, each word counted once."""
    of_names, of_prose = Counter(), Counter()
    for word in in_names:
        of_names.update(trigrams_of(word))
    for word, count in in_prose.items():
        if count >= 2 and (word not in in_names or count > 5 * in_names[word]):
            of_prose.update(trigrams_of(word))
    num_names, num_prose = of_names.total(), of_prose.total()
    rows = []
    for trigram in sorted(set(of_names) | set(of_prose)):
        counts = of_names[trigram], of_prose[trigram]
        if sum(counts) >= 3:
            rows.append((trigram, round(10 * log_odds(*counts, num_names, num_prose))))
    return rows


def write(name, header, rows):
    """Write a table and say how large it is."""
    path = TABLES / name
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([header, *rows])
    print(f"{path}: {len(rows):,} rows, {path.stat().st_size:,} bytes")


def main():
    """Write both tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cosing", required=True, help="CSV with a column inci_name, gzipped")
    parser.add_argument("--products", required=True, help="products with descriptions, .json.gz")
    args = parser.parse_args()
    names, prose = read_names(args.cosing), read_prose(args.products)
    in_names = Counter(word for name in names for word in words_of(name))
    in_prose = Counter(word for text in prose for word in words_of(text))
    write("words.csv", ("word", "score", "position"), word_rows(names, in_names, in_prose))
    write("trigrams.csv", ("trigram", "score"), trigram_rows(in_names, in_prose))


if __name__ == "__main__":
    main()
