"""Write the small generated sample in data/sample/, or a long stream of generated products.

    python data/make_sample.py                                  rewrites the three committed files
    python data/make_sample.py --products 1000000 --out p.json  only products, any number, constant memory (.gz or plain)

The files have the columns, types and quirks of the real ones (see data/README.md): meta_All_Beauty.json.gz (one JSON object
a line), cosmetics.csv, sephora_website_dataset.csv. No row comes from the real files: brands, names and texts are put together
from the tables in sample_formulas.py, lists are drawn from a formula of each product type. The same seed gives the same rows.
"""

import argparse
import csv
import functools
import gzip
import hashlib
import html
import io
import itertools
import json
import random
import re
import sys
from collections import namedtuple
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import sample_formulas as tables  # noqa: E402  (stands beside this file, also when it is imported from elsewhere)

SEED = 7
SAMPLE = Path(__file__).resolve().parent / "sample"
ALIASES = {
    "Lip Balms & Treatments": "Lip Balm & Treatment",
    "Lip Sunscreen": "Lip Balm & Treatment",
    "Lip Plumper": "Lip Gloss",
    "Moisturizer": "Moisturizers",
    "Cleanser": "Face Wash & Cleansers",
    "Face Mask": "Face Masks",
    "Treatment": "Face Serums",
    "Eye cream": "Eye Creams & Treatments",
    "Sun protect": "Face Sunscreen",
}
SET_PARTS = (
    "Face Wash & Cleansers",
    "Moisturizers",
    "Lipstick",
    "Mascara",
    "Perfume",
    "Shampoo",
    "Conditioner",
)
SEPHORA_HEADER = (
    "id,brand,category,name,size,rating,number_of_reviews,love,price,value_price,URL,MarketingFlags,MarketingFlags_content,options,"
    "details,how_to_use,ingredients,online_only,exclusive,limited_edition,limited_time_offer"
)

Type = namedtuple("Type", "category area nouns forms needs uses actives sizes")
Product = namedtuple(
    "Product", "type brand line noun common form feel need does actives steps size"
)
Formula = namedtuple("Formula", "ingredients colorants")


def pick(rng, options):
    """One element of a list; several times faster than rng.choice, which matters for --products."""
    return options[int(rng.random() * len(options))]


def some(rng, options, low, high):
    """low to high different elements, in random order."""
    return rng.sample(options, min(len(options), rng.randint(low, high)))


def capital(text):
    """First letter in upper case, the rest as it is."""
    return text[:1].upper() + text[1:]


def article(phrase):
    """'an intense perfume', 'a rich cream'."""
    return ("an " if phrase[0].lower() in "aeiou" else "a ") + phrase


def split(text, mark):
    """Parts without the blanks around them; empty parts are left out."""
    return [part.strip() for part in text.split(mark) if part.strip()]


def read_table(text, mark):
    """'name<mark>rest' lines (indented lines continue the one above) -> [(name, rest)]."""
    return [
        tuple(map(str.strip, line.split(mark, 1)))
        for line in text.strip().replace("\n  ", " ").splitlines()
    ]


def read_actives():
    """-> [(common name, INCI name, {area: [benefit, ...]})]."""
    actives = []
    for name, rest in read_table(tables.ACTIVES, "="):
        inci, *said = split(rest, "|")
        pairs = [part.split(":") for part in said]
        actives.append(
            (
                name,
                inci,
                {area: split(benefits, ";") for areas, benefits in pairs for area in areas.split()},
            )
        )
    return actives


def read_types(actives):
    """-> {category: Type}; its actives are those with a benefit in one of the type's areas: [(name, INCI, [benefit, ...])]."""
    types = {}
    lines = tables.TYPES.strip().splitlines()
    for head, form, need, use in zip(*(lines[i::4] for i in range(4))):
        category, areas, nouns = split(head, "|")
        forms, needs = (
            [split(pair, "=") for pair in split(line[5:], ";")] for line in (form, need)
        )
        here = {
            name: (name, inci, said[area])
            for name, inci, said in actives
            for area in areas.split()
            if area in said
        }
        area = areas.split()[0]
        types[category] = Type(
            category,
            area,
            split(nouns, ";"),
            forms,
            needs,
            [split(steps, ">") for steps in split(use[4:], ";")],
            list(here.values()),
            tables.SIZES.get(tables.SIZE_OF.get(area, area), tables.SIZES["makeup"]).split("|"),
        )
    return types


POOLS = {
    name: [entry.split(" + ") for entry in split(entries, ";")]
    for name, entries in read_table(tables.INGREDIENTS, ":")
}
PIGMENTS = {
    name: [entry.split("=") for entry in split(entries, ";")]
    for name, entries in read_table(tables.PIGMENTS, ":")
}
FORMULAS = {
    category: [split(variant, ";") for variant in text.split("||")]
    for category, text in read_table(tables.FORMULAS, ":")
}
SCENTS = [
    [split(part, ",") for part in line.split("|")] for line in tables.SCENTS.strip().splitlines()
]
TYPES = read_types(read_actives())
COMMON = [
    "Perfume",
    "Moisturizers",
    "Face Serums",
    "Face Wash & Cleansers",
    "Shampoo",
    "Hair Brushes & Combs",
    "0 Eyelashes",
    "Nail",
    "Lipstick",
]
META_TYPES = [TYPES[category] for category in list(TYPES) * 2 + COMMON * 3]
LINES, SHADES = (
    [part.strip().replace("\n", "|").split("|") for part in pair]
    for pair in (tables.LINES, tables.SHADES)
)
BRANDS = [
    first + last
    for last in tables.BRAND_ENDINGS.split("|")
    for first in tables.BRANDS.strip().replace("\n", "|").split("|")
]


def draw_product(rng, brands, category=None):
    """One product: its type, brand, name parts, and the phrases that belong to them."""
    type_ = TYPES[category] if category else pick(rng, META_TYPES)
    noun = pick(rng, type_.nouns)
    forms = [
        pair for pair in type_.forms if pair[0][:4] not in noun.lower()
    ]  # no "creamy face cream"
    actives = [(name, inci, pick(rng, said)) for name, inci, said in some(rng, type_.actives, 1, 3)]
    return Product(
        type_,
        pick(rng, brands),
        f"{pick(rng, LINES[0])} {pick(rng, LINES[1])}",
        noun,
        noun.lower().replace("spf", "SPF").replace("bb ", "BB "),
        *pick(rng, forms or type_.forms),
        *pick(rng, type_.needs),
        actives,
        pick(rng, type_.uses),
        pick(rng, type_.sizes),
    )


def draw_step(rng, step, actives):
    """The ingredients that one step of a formula adds."""
    if step == "active":
        return [inci for _, inci, _ in actives]
    word, _, count = step.partition(" ")
    if word in POOLS or word in PIGMENTS:
        low, _, high = (count or "1").partition("-")
        drawn = some(rng, POOLS.get(word) or PIGMENTS[word], int(low), int(high or low))
        return (
            [name for entry in drawn for name in entry]
            if word in POOLS
            else [f"{name} (CI {number})" for name, number in drawn]
        )
    name, _, percent = step.partition(" ?")
    return name.split(" + ") if not percent or rng.random() * 100 < int(percent) else []


def draw_formula(rng, category, actives):
    """-> Formula: ingredients in label order and the colorants [(name, CI number)] that a shade may contain.

    The first places, allergens and dyes keep the order of the formula; between them neighbours change places, as
    ingredients below 1 % may stand in any order (Regulation (EC) 1223/2009, article 19).
    """
    placed, colorants = [], []
    for position, step in enumerate(
        pick(rng, FORMULAS[category if category in FORMULAS else ALIASES[category]])
    ):
        if step.startswith("+/-"):
            _, pool, count = step.split()
            colorants += [
                pair
                for pair in some(rng, PIGMENTS[pool], *map(int, count.split("-")))
                if pair not in colorants
            ]
            continue
        loose = (
            0.0
            if position == 0 or step.startswith(("allergen", "soluble"))
            else 1.2
            if position < 4
            else 4.0
        )
        placed += [
            (position + loose * rng.random(), name) for name in draw_step(rng, step, actives)
        ]
    return Formula(
        list(dict.fromkeys(name for _, name in sorted(placed, key=lambda pair: pair[0]))), colorants
    )


@functools.lru_cache(maxsize=None)
def brand_style(brand):
    """How a brand prints its lists: names of water and fragrance, common plant names, form of colour names, upper or lower case."""
    rng = random.Random(brand)
    return {
        "Water": rng.choice(
            ["Water"] * 5
            + ["Aqua", "Aqua/Water/Eau", "Water/Aqua/Eau", "Aqua (Water)", "Water (Aqua)"]
        ),
        "Fragrance": rng.choice(
            ["Fragrance"] * 3 + ["Parfum", "Fragrance/Parfum", "Parfum (Fragrance)"]
        ),
        "Alcohol Denat.": rng.choice(
            ["Alcohol Denat."] * 4
            + ["Alcohol", "SD Alcohol 40-B", "Alcohol Denat. (SD Alcohol 39-C)"]
        ),
        "Flavor": rng.choice(["Flavor", "Aroma", "Flavor (Aroma)"]),
        "plain": rng.random() < 0.3,
        "case": rng.choice([str] * 9 + [str.title] * 3),
        "colour": rng.choice(["{0} (CI {1})", "CI {1} ({0})", "CI {1}", "CI {1} / {0}"]),
    }


def ingredient_text(rng, formula, brand):
    """The comma-separated list as the brand prints it, with its 'may contain' block; a few lists are all upper or lower case."""
    style = brand_style(brand)
    names = [style[name] if name in style else name for name in formula.ingredients]
    if style["plain"]:
        names = [re.sub(r" \([A-Z][a-z ]+\)(?= )", "", name) for name in names]
    text, colorants = ", ".join(names), formula.colorants
    iron = ", CI ".join(sorted(number for name, number in colorants if name == "Iron Oxides"))
    if colorants:  # the iron oxides share one entry, as on most labels
        pairs = [pair for pair in colorants if pair[0] != "Iron Oxides"] + (
            [("Iron Oxides", iron)] if iron else []
        )
        colours = ", ".join(style["colour"].format(*pair) for pair in pairs)
        text += pick(
            rng,
            [
                ". May Contain (+/-): {}",
                ". May Contain: {}",
                ", [+/-: {}]",
                " [May Contain (+/-): {}]",
                ", {}",
            ],
        ).format(colours)
    case = style["case"] if rng.random() < 0.95 else pick(rng, (str.upper, str.lower))
    return case(text) + pick(rng, (".", ".", ""))


def shade(rng):
    """A colour name such as 'Dusty Rose'."""
    return f"{pick(rng, SHADES[0])} {pick(rng, SHADES[1])}"


def title_of(rng, p):
    """A product title in one of the shapes found in shops."""
    shape = rng.random()
    if p.type.category in tables.SHADED and shape < 0.4:
        return f"{p.brand} {p.line} {p.noun}{pick(rng, (' - ', ', ', ' in ', ' #'))}{shade(rng)}"
    if p.actives and shape < 0.55:
        return (
            f"{p.line} {p.noun} with {' & '.join(name for name, _, _ in p.actives[:2])}, {p.size}"
        )
    if shape > 0.995:
        return f"{capital(p.form)} {p.noun}"
    return pick(
        rng,
        (
            "{0.brand} {0.line} {0.noun}",
            "{0.brand} {0.line} {0.noun}, {0.size}",
            "{0.line} {form} {0.noun} for {need}, {0.size}",
            "{0.brand} {form} {0.noun} - {0.line}",
            "{0.brand}® {0.line}™ {0.noun} {0.size}",
        ),
    ).format(p, form=p.form.title(), need=p.need.title().replace("'S", "'s"))


def scent_notes(rng):
    """-> (family, mood, top note, two heart notes, base note), all of one fragrance family."""
    (family,), (mood,), top, heart, base = pick(rng, SCENTS)
    return family, mood, pick(rng, top), *rng.sample(heart, 2), pick(rng, base)


def running_text(rng, p):
    """-> (opening sentences, closing sentences): what the product is and does, then how it is used."""
    thing = f"{p.form} {p.common}"
    text = pick(
        rng,
        (
            f"{p.brand} {p.line} is {article(thing)} for {p.need}. It {p.does}. It also {p.feel}.",
            f"Made for {p.need}, this {thing} {p.does}. It {p.feel}.",
            f"{p.line} by {p.brand} is {article(thing)} that {p.feel}. We made it for {p.need}: it {p.does}.",
            f"Looking for {article(p.common)} for {p.need}? {p.line} {p.does}. It {p.feel}.",
        ),
    )
    if p.type.area == "scent":
        text += " This {} scent opens with {2}, turns to {3} and {4} in the heart and settles on {5}. The mood is {1}.".replace(
            "{}", "{0}"
        ).format(*scent_notes(rng))
    said = [f"{name} {benefit}" for name, _, benefit in p.actives]
    if len(said) == 1:
        text += f" {pick(rng, ('The formula is built on', 'It contains'))} {p.actives[0][0]}, which {p.actives[0][2]}."
    elif said:
        text += f" {', '.join(said[:-1])}, and {said[-1]}."
    closing = f"{pick(rng, ('How to use', 'Directions', 'To use'))}: {'. '.join(p.steps)}."
    if rng.random() < 0.5 and p.type.area != "tool":
        closing += f" Made without {pick(rng, tables.FREE_OF)}."
    return text, f"{closing} {pick(rng, tables.CLAIMS)}"


def headed_text(rng, p):
    """The description in the style of a shop's product page: headings and bullets, sometimes without the spaces between them."""
    parts = [
        f"What it is: {capital(article(p.form))} {p.common} for {p.need}.",
        f"What it does: It {p.does}. It {p.feel}.",
    ]
    if p.type.area == "scent":
        family, _, *notes = scent_notes(rng)
        parts.insert(
            0, f"Fragrance Family: {family.title()}Key Notes: {'- '.join(map(capital, notes))}"
        )
    if p.actives:
        parts.append(
            "Key Ingredients:"
            + " ".join(f"- {name}: {capital(benefit)}." for name, _, benefit in p.actives)
        )
    if p.type.area != "tool":
        parts.append(
            f"Good to know: This {p.common} is made without {pick(rng, tables.FREE_OF)}. {pick(rng, tables.CLAIMS)}"
        )
    return pick(rng, ("", " ", " ", "\n")).join(
        parts + ["Suggested Usage:" + "".join(f"-{step}." for step in p.steps)]
    )


def describe(rng, p):
    """The `description` list of a product: one or two strings, 30 to 150 words in all."""
    shape = rng.random()
    if shape < 0.35:
        return [headed_text(rng, p)]
    opening, closing = running_text(rng, p)
    if shape < 0.47:
        return [
            f"<b>{html.escape(p.brand)} {p.line}</b><br>{html.escape(opening)}<br><br><b>Tips &amp; Tricks</b><br>{html.escape(closing)}"
        ]
    if shape < 0.6 and p.type.category in FORMULAS:
        return [
            f"{opening} {closing} Ingredients: {', '.join(draw_formula(rng, p.type.category, p.actives).ingredients[:14])}."
        ]
    return [opening, closing] if shape > 0.92 else [f"{opening} {closing}"]


def product_record(rng, brands):
    """One product as a dict with the keys, their order and types of UCSD's meta_All_Beauty.json."""
    p, asin, chance = draw_product(rng, brands), f"B{rng.getrandbits(36):09X}", rng.random()
    description = describe(rng, p) if rng.random() < 0.44 else []
    # rank and price are strings where filled; the real file has [] and "" where they are not
    return {
        "category": [],
        "tech1": "",
        "description": description,
        "fit": "",
        "title": "" if chance < (0.01 if description else 0.002) else title_of(rng, p),
        "also_buy": [],
        "tech2": "",
        "brand": p.brand if chance < 0.96 else "",
        "feature": [capital(p.does), capital(p.feel)] if 0.2 < chance < 0.26 else [],
        "rank": f"{rng.randrange(900, 3000000):,} in Beauty & Personal Care ("
        if 0.3 < chance < 0.8
        else [],
        "also_view": [],
        "details": {"ASIN: ": asin} if 0.4 < chance < 0.7 else {},
        "main_cat": "All Beauty",
        "similar_item": "",
        "date": "",
        "price": f"${rng.randrange(4, 90)}.99" if 0.5 < chance < 0.75 else "",
        "asin": asin,
        "imageURL": [],
        "imageURLHighRes": [],
    }


def product_lines(count, seed, brands):
    """Yield `count` JSON lines; about four in a thousand repeat the one before."""
    rng, encode, line = random.Random(seed), json.JSONEncoder(ensure_ascii=False).encode, ""
    for _ in range(count):
        if not line or rng.random() > 0.004:
            line = encode(product_record(rng, brands)) + "\n"
        yield line


def write_products(path, count, seed, brands, level):
    """Write `count` products as JSON lines, gzipped (no name or time in the header) if the path ends in .gz."""
    lines, zipped = product_lines(count, seed, brands), str(path).endswith(".gz")
    with open(path, "wb") as raw:
        out = (
            gzip.GzipFile(filename="", mode="wb", compresslevel=level, fileobj=raw, mtime=0)
            if zipped
            else raw
        )
        while block := "".join(itertools.islice(lines, 1000)):
            out.write(block.encode())
        out.close()


def callouts(p, formula=None):
    """'-Argan Oil: Smooths frizz.' for those of the product's active ingredients that its formula holds."""
    return [
        f"-{name}: {capital(benefit)}."
        for name, inci, benefit in p.actives
        if not formula or inci in formula.ingredients
    ]


def listing_cell(rng, p, formula, shop=True):
    """An `ingredients` cell: the list, and around it what the shops' cells have around theirs (`shop`: those of Sephora)."""
    text, chance, dashed = (
        ingredient_text(rng, formula, p.brand),
        rng.random(),
        shop and rng.random() < 0.2,
    )
    us_names = {
        "Homosalate": "Homosalate",
        "Ethylhexyl Salicylate": "Octisalate",
        "Octocrylene": "Octocrylene",
        "Zinc Oxide": "Zinc Oxide",
    }
    filters = [
        f"{us_names[name]} {rng.randint(3, 10)}%"
        for name in formula.ingredients
        if name in us_names
    ]
    if p.type.category in tables.SHADED and chance > 0.75:
        text = f"{shade(rng)}:{' ' if dashed or chance > 0.9 else chr(10)}{text}"
    elif p.type.category == "Face Sunscreen" and filters and chance > 0.6:
        text = f"Active Ingredients: {', '.join(filters)}: Sunscreen.\n{text}"
    if chance < 0.3 and (said := callouts(p, formula)):
        gap = "" if dashed else pick(rng, ("\n\n",) * 7 + (" \r\n\n", "\n", "<br><br>"))
        text = (" " if dashed else "\n").join(said) + gap + text
    elif chance < 0.36 and shop:
        text = f"-Free of {pick(rng, tables.FREE_OF)}.\n\n{text}"
    elif chance < 0.39:
        text = (
            text.replace(" Extract", " Extract*").replace(" Seed Oil", " Seed Oil*")
            + "\n*From organic farming."
        )
    elif chance < 0.44 and shop:
        text += "\n\n\nThe shop's clean seal stands for products without: \n\nSulfates—SLS + SLES, Parabens, Phthalates, Mineral Oil, Oxybenzone"
    elif chance < 0.48:
        text += " Lists may change: see the package for the current one."
    return text.replace(", ", pick(rng, ("- ", "- ", "- ", " - "))) if dashed else text


def sephora_row(rng, identity, category, p, name, cell):
    """One row of sephora_website_dataset.csv; about one in eight has the late columns filled, as in the real file."""
    slug, code = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-"), rng.randrange(100000, 470000)
    full, price, love = rng.random() < 0.12, float(rng.randrange(8, 140)), rng.randrange(0, 60000)
    flags = [int(rng.random() < share) for share in (0.22, 0.26, 0.09)]
    said = " · ".join(
        word for word, flag in zip(("online only", "exclusive", "limited edition"), flags) if flag
    )
    steps = "Suggested Usage:" + "".join(f"-{step}." for step in p.steps)
    late = (
        [
            said or "0",
            "no options",
            headed_text(rng, p),
            pick(rng, (steps, steps, "no instructions")),
        ]
        if full
        else [""] * 4
    )
    return [
        identity,
        p.brand,
        category,
        name,
        pick(rng, (p.size, "no size")),
        pick(rng, (5.0, 4.5, 4.5, 4.5, 4.0, 4.0, 4.0, 3.5, 3.5, 3.0, 0.0)),
        rng.randrange(0, 900),
        love if love < 1000 else love // 100 * 100,
        price,
        price + pick(rng, (0,) * 9 + (10,)),
        f"https://www.example.com/product/{slug}-P{code}?icid2=products grid:p{code}"
        if rng.random() < 0.45
        else "",
        int(any(flags)),
        *late,
        cell,
        *flags,
        "0.0" if full else "",
    ]


def sephora_rows(rng, brands):
    """-> (rows of the Sephora file in random order, [(category, product, formula)] with a usable list)."""
    rows, made = [], []
    for category, number in (
        (category, number)
        for category, count in tables.SEPHORA_ROWS.items()
        for number in range(count)
    ):
        unusable = (
            number < round(0.15 * tables.SEPHORA_ROWS[category]) or category == "Face Brushes"
        )
        mini, gift = category == "Mini Size", category == "Value & Gift Sets"
        p = draw_product(
            rng, brands, pick(rng, SET_PARTS) if mini or gift else ALIASES.get(category, category)
        )
        name = f"{p.line} {'Set' if gift else p.noun}"
        if unusable:
            boutique = f"Visit the {p.brand} boutique"
            cell = pick(
                rng,
                ["unknown"] * 12
                + [f"{p.line} {p.does}.\n{boutique}", boutique, " " + " ".join(callouts(p))],
            )
        elif gift:
            parts = [
                draw_product(rng, [p.brand], category) for category in some(rng, SET_PARTS, 2, 3)
            ]
            cell = "\n\n".join(
                f"{q.line} {q.noun}:\n{ingredient_text(rng, draw_formula(rng, q.type.category, q.actives), q.brand)}"
                for q in parts
            )
        else:
            siblings = [entry for entry in made if mini or entry[0] == category]
            if siblings and rng.random() < (
                0.5 if mini else 0.04
            ):  # another size of a product: the same list
                _, p, formula = pick(rng, siblings)
                name = f"{p.line} {p.noun} Mini"
            else:
                formula = draw_formula(rng, p.type.category if mini else category, p.actives)
            cell = listing_cell(rng, p, formula)
            made.append((category, p, formula))
        rows.append((category, p, name, cell))
    rng.shuffle(rows)
    return [
        sephora_row(rng, identity, *row)
        for identity, row in zip(rng.sample(range(1000000, 2400000), len(rows)), rows)
    ], made


def cosmetics_rows(rng, brands, made):
    """Rows of cosmetics.csv, in blocks of one label as in the real file; one in twelve lists is also in the Sephora file."""
    rows = []
    for label in (label for label, count in tables.COSMETICS_ROWS.items() for _ in range(count)):
        p = draw_product(rng, brands, ALIASES[label])
        formula = draw_formula(rng, p.type.category, p.actives)
        if rng.random() < 0.08:
            _, p, formula = pick(rng, [entry for entry in made if entry[0] == ALIASES[label]])
        cell = re.sub(r"\s+", " ", listing_cell(rng, p, formula, shop=False))
        if rng.random() < 0.15:
            cell = pick(
                rng,
                [
                    "#NAME?",
                    "No Info",
                    f"Visit the {p.brand} boutique",
                    "*From plants.",
                    f"Visit the {p.brand} boutique",
                ],
            )
        skin = (
            [0] * 5
            if rng.random() < 0.32
            else [1, int(rng.random() < 0.85), 1, int(rng.random() < 0.9), int(rng.random() < 0.8)]
        )
        rank = f"{rng.triangular(3, 5, 4.4):.1f}".replace(".0", "")
        rows.append(
            [label, p.brand.upper(), f"{p.line} {p.noun}", rng.randrange(6, 180), rank, cell, *skin]
        )
    return rows


def write_sample(folder=SAMPLE, seed=SEED, products=2000):
    """Write the three files and print path, rows, bytes and sha256 of each."""
    folder.mkdir(parents=True, exist_ok=True)
    rng, brands = random.Random(seed), BRANDS[:150]
    sephora, made = sephora_rows(rng, brands[:70])
    cosmetics = cosmetics_rows(rng, brands[:70], made)
    write_products(folder / "meta_All_Beauty.json.gz", products, seed, brands, level=9)
    for name, header, rows, encoding, line_end in (
        ("cosmetics.csv", tables.COSMETICS_HEADER, cosmetics, "utf-8-sig", "\r\n"),
        ("sephora_website_dataset.csv", SEPHORA_HEADER, sephora, "utf-8", "\n"),
    ):
        buffer = io.StringIO()
        csv.writer(buffer, lineterminator=line_end).writerows([header.split(",")] + rows)
        (folder / name).write_bytes(buffer.getvalue().encode(encoding))
    for name, rows in (
        ("meta_All_Beauty.json.gz", products),
        ("cosmetics.csv", len(cosmetics)),
        ("sephora_website_dataset.csv", len(sephora)),
    ):
        data = (folder / name).read_bytes()
        print(
            f"{folder / name}  {rows} rows  {len(data)} bytes  sha256 {hashlib.sha256(data).hexdigest()}"
        )


def main(arguments=None):
    """Read the command line and write."""
    parser = argparse.ArgumentParser(
        description="Write the generated sample, or N generated products."
    )
    parser.add_argument(
        "--products", type=int, metavar="N", help="write only N products (needs --out)"
    )
    parser.add_argument(
        "--out", metavar="FILE", help="file for --products; gzipped if it ends in .gz"
    )
    parser.add_argument("--seed", type=int, default=SEED, help=f"default {SEED}")
    args = parser.parse_args(arguments)
    if args.products is None and args.out is None:
        write_sample(seed=args.seed)
    elif args.products is None or args.out is None:
        parser.error("--products and --out go together")
    else:
        write_products(args.out, args.products, args.seed, BRANDS, level=1)


if __name__ == "__main__":
    main()
