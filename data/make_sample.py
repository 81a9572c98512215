"""Write the small generated sample in data/sample/, or a long stream of generated products.

    python data/make_sample.py
        rewrites the three committed files
    python data/make_sample.py --products 1000000 --out p.json
        writes only products, any number, in constant memory; gzipped if the name ends in .gz
    python data/make_sample.py --shop shop.csv
        writes only a table of 2,000 rows as a shop might have it, with labels of its own

The files have the columns, types and quirks of the real ones (see data/README.md):
meta_All_Beauty.json.gz (one JSON object a line), cosmetics.csv, sephora_website_dataset.csv.
No row comes from the real files. Brands, names and texts are put together from the tables in
sample_formulas.py, and each list is drawn from a formula of its product type.
The same seed gives the same rows.
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
from collections import namedtuple
from pathlib import Path

import sample_formulas as tables

SEED = 7
SAMPLE = Path(__file__).resolve().parent / "sample"
SAMPLE_PRODUCTS = 1300
SAMPLE_TYPES = (  # of these products: few enough for a tiny model to learn in a minute
    "Perfume",
    "Moisturizers",
    "Face Serums",
    "Face Wash & Cleansers",
    "Shampoo",
    "Lipstick",
)
BRIEF = 0.95  # share of these products that are described in a few sentences
SHOP_ROWS = 2000
SHOP_LABELS = {  # of --shop, and the product type of each
    "hair wash": "Shampoo",
    "hair rinse": "Conditioner",
    "day & night cream": "Moisturizers",
    "sun care": "Face Sunscreen",
    "lip colour": "Lipstick",
    "nail colour": "Nail",
    "scent": "Perfume",
    "shower": "Body Wash & Shower Gel",
}

Type = namedtuple("Type", "category area nouns forms needs uses actives sizes")
Product = namedtuple(
    "Product", "type brand line noun common form feel need does actives steps size"
)
Formula = namedtuple("Formula", "ingredients colorants")
Style = namedtuple("Style", "names plain case colour")


def pick(rng, options):
    """One element of a list; several times faster than rng.choice, which matters for --products."""
    return options[int(rng.random() * len(options))]


def some(rng, options, low, high):
    """low to high different elements, in random order."""
    return rng.sample(options, min(len(options), rng.randint(low, high)))


def some_of(rng, options, count):
    """Different elements in random order; `count` is '2-4', '2', or '' for one."""
    low, _, high = (count or "1").partition("-")
    return some(rng, options, int(low), int(high or low))


def capital(text):
    """First letter in upper case, the rest as it is."""
    return text[:1].upper() + text[1:]


def article(phrase):
    """'an intense perfume', 'a rich cream'."""
    return ("an " if phrase[0].lower() in "aeiou" else "a ") + phrase


def split(text, mark):
    """Parts without the blanks around them; empty parts are left out."""
    return [part.strip() for part in text.split(mark) if part.strip()]


def read_lines(text):
    """The lines of a table; an indented line continues the one above."""
    return text.strip().replace("\n  ", " ").splitlines()


def read_table(text, mark):
    """'name<mark>rest' lines -> [(name, rest)]."""
    pairs = [line.split(mark, 1) for line in read_lines(text)]
    return [(name.strip(), rest.strip()) for name, rest in pairs]


def read_pairs(text):
    """'left = right; ...' -> [[left, right], ...]."""
    return [split(pair, "=") for pair in split(text, ";")]


def read_words(text):
    """Words separated by '|' or the end of a line."""
    return text.strip().replace("\n", "|").split("|")


def read_actives():
    """-> [(common name, INCI name, {area: [benefit, ...]})]."""
    actives = []
    for name, rest in read_table(tables.ACTIVES, "="):
        inci, *entries = split(rest, "|")
        said = {}
        for entry in entries:
            areas, benefits = entry.split(":")
            said.update(dict.fromkeys(areas.split(), split(benefits, ";")))
        actives.append((name, inci, said))
    return actives


def read_type(text, actives):
    """One block of tables.TYPES -> Type.

    Its actives [(name, INCI, [benefit, ...])] are those with a benefit in one of its areas;
    if several areas have one, the last of them counts.
    """
    head, form, need, use = read_lines(text)
    category, areas, nouns = split(head, "|")
    areas = areas.split()
    here = []
    for name, inci, said in actives:
        benefits = [said[area] for area in areas if area in said]
        if benefits:
            here.append((name, inci, benefits[-1]))
    size_area = tables.SIZE_OF.get(areas[0], areas[0])
    return Type(
        category=category,
        area=areas[0],
        nouns=split(nouns, ";"),
        forms=read_pairs(form.removeprefix("form:")),
        needs=read_pairs(need.removeprefix("need:")),
        uses=[split(steps, ">") for steps in split(use.removeprefix("use:"), ";")],
        actives=here,
        sizes=tables.SIZES.get(size_area, tables.SIZES["makeup"]).split("|"),
    )


def read_types():
    """-> {category: Type}."""
    actives = read_actives()
    types = [read_type(block, actives) for block in tables.TYPES.split("\n\n")]
    return {type_.category: type_ for type_ in types}


POOLS = {
    name: [entry.split(" + ") for entry in split(entries, ";")]
    for name, entries in read_table(tables.INGREDIENTS, ":")
}
PIGMENTS = {name: read_pairs(entries) for name, entries in read_table(tables.PIGMENTS, ":")}
FORMULAS = {
    category: [split(variant, ";") for variant in text.split("||")]
    for category, text in read_table(tables.FORMULAS, ":")
}
SCENTS = [[split(part, ",") for part in line.split("|")] for line in read_lines(tables.SCENTS)]
TYPES = read_types()
META_TYPES = list(TYPES) * 2 + tables.COMMON * 3
LINE_STARTS = read_words(tables.LINE_STARTS)
LINE_ENDS = read_words(tables.LINE_ENDS)
SHADE_STARTS = read_words(tables.SHADE_STARTS)
SHADE_ENDS = read_words(tables.SHADE_ENDS)
BRANDS = [first + last for last in tables.BRAND_ENDINGS for first in read_words(tables.BRANDS)]


def draw_product(rng, brands, category):
    """One product: its type, brand, name parts, and the phrases that belong to them."""
    type_ = TYPES[category]
    noun = pick(rng, type_.nouns)
    small = noun.lower()
    forms = [pair for pair in type_.forms if pair[0][:4] not in small]  # no "creamy face cream"
    actives = [(name, inci, pick(rng, said)) for name, inci, said in some(rng, type_.actives, 1, 3)]
    brand = pick(rng, brands)
    line = f"{pick(rng, LINE_STARTS)} {pick(rng, LINE_ENDS)}"
    common = small.replace("spf", "SPF").replace("bb ", "BB ")
    form, feel = pick(rng, forms or type_.forms)
    need, does = pick(rng, type_.needs)
    steps = pick(rng, type_.uses)
    size = pick(rng, type_.sizes)
    return Product(type_, brand, line, noun, common, form, feel, need, does, actives, steps, size)


def draw_step(rng, step, actives):
    """The ingredients that one step of a formula adds."""
    if step == "active":
        return [inci for _, inci, _ in actives]
    word, _, count = step.partition(" ")
    if word in POOLS:
        return list(itertools.chain.from_iterable(some_of(rng, POOLS[word], count)))
    if word in PIGMENTS:
        return [f"{name} (CI {number})" for name, number in some_of(rng, PIGMENTS[word], count)]
    name, _, percent = step.partition(" ?")
    if percent and rng.random() * 100 >= int(percent):
        return []
    return name.split(" + ")


def looseness(position, step):
    """By how many places an ingredient of this step may move down.

    The first place, allergens and dyes keep the order of the formula. Between them neighbours
    change places: ingredients below 1 % may be listed in any order (Regulation (EC) 1223/2009,
    article 19).
    """
    if position == 0 or step.startswith(("allergen", "soluble")):
        return 0.0
    return 1.2 if position < 4 else 4.0


def draw_formula(rng, category, actives):
    """-> Formula: ingredients in label order, and colorants [(name, CI number)] of its shades."""
    variants = FORMULAS.get(category) or FORMULAS[tables.ALIASES[category]]
    placed = []
    colorants = []
    for position, step in enumerate(pick(rng, variants)):
        if step.startswith("+/-"):
            _, pool, count = step.split()
            drawn = some_of(rng, PIGMENTS[pool], count)
            colorants += [pair for pair in drawn if pair not in colorants]
            continue
        loose = looseness(position, step)
        names = draw_step(rng, step, actives)
        placed += [(position + loose * rng.random(), name) for name in names]
    placed.sort(key=lambda pair: pair[0])
    ingredients = list(dict.fromkeys(name for _, name in placed))
    return Formula(ingredients, colorants)


@functools.cache
def brand_style(brand):
    """How a brand prints its lists.

    Its names of water, fragrance, alcohol and flavor; whether it leaves the common names of plants
    out; upper or lower case; the form of its colour names.
    """
    rng = random.Random(brand)
    waters = ["Aqua", "Aqua/Water/Eau", "Water/Aqua/Eau", "Aqua (Water)", "Water (Aqua)"]
    fragrances = ["Parfum", "Fragrance/Parfum", "Parfum (Fragrance)"]
    alcohols = ["Alcohol", "SD Alcohol 40-B", "Alcohol Denat. (SD Alcohol 39-C)"]
    names = {
        "Water": rng.choice(["Water"] * 5 + waters),
        "Fragrance": rng.choice(["Fragrance"] * 3 + fragrances),
        "Alcohol Denat.": rng.choice(["Alcohol Denat."] * 4 + alcohols),
        "Flavor": rng.choice(["Flavor", "Aroma", "Flavor (Aroma)"]),
    }
    plain = rng.random() < 0.3
    case = rng.choice([str] * 9 + [str.title] * 3)
    colour = rng.choice(["{0} (CI {1})", "CI {1} ({0})", "CI {1}", "CI {1} / {0}"])
    return Style(names, plain, case, colour)


def colour_block(rng, colorants, style):
    """The 'may contain' block; the iron oxides share one entry, as on most labels."""
    iron = sorted(number for name, number in colorants if name == "Iron Oxides")
    pairs = [pair for pair in colorants if pair[0] != "Iron Oxides"]
    if iron:
        pairs.append(("Iron Oxides", ", CI ".join(iron)))
    colours = ", ".join(style.colour.format(*pair) for pair in pairs)
    blocks = (
        ". May Contain (+/-): {}",
        ". May Contain: {}",
        ", [+/-: {}]",
        " [May Contain (+/-): {}]",
        ", {}",
    )
    return pick(rng, blocks).format(colours)


def ingredient_text(rng, formula, brand):
    """The comma-separated list as the brand prints it; a few are all upper or lower case."""
    style = brand_style(brand)
    names = [style.names.get(name, name) for name in formula.ingredients]
    if style.plain:
        names = [re.sub(r" \([A-Z][a-z ]+\)(?= )", "", name) for name in names]
    text = ", ".join(names)
    if formula.colorants:
        text += colour_block(rng, formula.colorants, style)
    case = style.case if rng.random() < 0.95 else pick(rng, (str.upper, str.lower))
    return case(text) + pick(rng, (".", ".", ""))


def shade(rng):
    """A colour name such as 'Dusty Rose'."""
    return f"{pick(rng, SHADE_STARTS)} {pick(rng, SHADE_ENDS)}"


def title_of(rng, p):
    """A product title in one of the shapes found in shops."""
    shape = rng.random()
    if p.type.category in tables.SHADED and shape < 0.4:
        mark = pick(rng, (" - ", ", ", " in ", " #"))
        return f"{p.brand} {p.line} {p.noun}{mark}{shade(rng)}"
    if p.actives and shape < 0.55:
        names = " & ".join(name for name, _, _ in p.actives[:2])
        return f"{p.line} {p.noun} with {names}, {p.size}"
    if shape > 0.995:
        return f"{capital(p.form)} {p.noun}"
    form = p.form.title()
    need = p.need.title().replace("'S", "'s")
    shapes = (
        f"{p.brand} {p.line} {p.noun}",
        f"{p.brand} {p.line} {p.noun}, {p.size}",
        f"{p.line} {form} {p.noun} for {need}, {p.size}",
        f"{p.brand} {form} {p.noun} - {p.line}",
        f"{p.brand}® {p.line}™ {p.noun} {p.size}",
    )
    return pick(rng, shapes)


def scent_notes(rng):
    """-> (family, mood, top note, two heart notes, base note), all of one fragrance family."""
    (family,), (mood,), top, heart, base = pick(rng, SCENTS)
    return family, mood, pick(rng, top), *rng.sample(heart, 2), pick(rng, base)


def opening_text(rng, p):
    """Sentences on what the product is and does."""
    thing = f"{p.form} {p.common}"
    a_thing = article(thing)
    starts = (
        f"{p.brand} {p.line} is {a_thing} for {p.need}. It {p.does}. It also {p.feel}.",
        f"Made for {p.need}, this {thing} {p.does}. It {p.feel}.",
        f"{p.line} by {p.brand} is {a_thing} that {p.feel}. We made it for {p.need}: it {p.does}.",
        f"Looking for {article(p.common)} for {p.need}? {p.line} {p.does}. It {p.feel}.",
    )
    text = pick(rng, starts)
    if p.type.area == "scent":
        family, mood, top, heart, second, base = scent_notes(rng)
        text += f" This {family} scent opens with {top}, turns to {heart} and {second} in the heart"
        text += f" and settles on {base}. The mood is {mood}."
    said = [f"{name} {benefit}" for name, _, benefit in p.actives]
    if len(said) == 1:
        name, _, benefit = p.actives[0]
        start = pick(rng, ("The formula is built on", "It contains"))
        text += f" {start} {name}, which {benefit}."
    elif said:
        text += f" {', '.join(said[:-1])}, and {said[-1]}."
    return text


def closing_text(rng, p):
    """Sentences on how the product is used, and a claim."""
    heading = pick(rng, ("How to use", "Directions", "To use"))
    text = f"{heading}: {'. '.join(p.steps)}."
    if rng.random() < 0.5 and p.type.area != "tool":
        text += f" Made without {pick(rng, tables.FREE_OF)}."
    return f"{text} {pick(rng, tables.CLAIMS)}"


def usage(p):
    """'Suggested Usage:-First step.-Second step.'"""
    return "Suggested Usage:" + "".join(f"-{step}." for step in p.steps)


def headed_text(rng, p):
    """Headings and bullets like a shop's product page, sometimes with no spaces between them."""
    parts = []
    if p.type.area == "scent":
        family, _, *notes = scent_notes(rng)
        key_notes = "- ".join(map(capital, notes))
        parts.append(f"Fragrance Family: {family.title()}Key Notes: {key_notes}")
    parts.append(f"What it is: {capital(article(p.form))} {p.common} for {p.need}.")
    parts.append(f"What it does: It {p.does}. It {p.feel}.")
    if p.actives:
        bullets = [f"- {name}: {capital(benefit)}." for name, _, benefit in p.actives]
        parts.append("Key Ingredients:" + " ".join(bullets))
    if p.type.area != "tool":
        free_of = pick(rng, tables.FREE_OF)
        claim = pick(rng, tables.CLAIMS)
        parts.append(f"Good to know: This {p.common} is made without {free_of}. {claim}")
    parts.append(usage(p))
    return pick(rng, ("", " ", " ", "\n")).join(parts)


def describe(rng, p):
    """The `description` list of a product: one or two strings, 30 to 150 words in all."""
    shape = rng.random()
    if shape < 0.35:
        return [headed_text(rng, p)]
    opening = opening_text(rng, p)
    closing = closing_text(rng, p)
    if shape < 0.47:
        heading = f"<b>{html.escape(p.brand)} {p.line}</b>"
        tips = "<b>Tips &amp; Tricks</b>"
        text = f"{html.escape(opening)}<br><br>{tips}<br>{html.escape(closing)}"
        return [f"{heading}<br>{text}"]
    if shape < 0.6 and p.type.category in FORMULAS:
        names = draw_formula(rng, p.type.category, p.actives).ingredients[:14]
        return [f"{opening} {closing} Ingredients: {', '.join(names)}."]
    return [opening, closing] if shape > 0.92 else [f"{opening} {closing}"]


def product_record(rng, brands, categories, brief):
    """One product as a dict with the keys, their order and types of UCSD's meta_All_Beauty.json.

    brief: the share of products whose description is a few sentences. The others have one as often
    as in the real file, of 30 to 150 words.
    """
    p = draw_product(rng, brands, pick(rng, categories))
    asin = f"B{rng.getrandbits(36):09X}"
    chance = rng.random()
    description = describe(rng, p) if rng.random() < 0.44 else []
    if rng.random() < brief:
        description = [opening_text(rng, p)]
    untitled = chance < (0.01 if description else 0.002)
    title = "" if untitled else title_of(rng, p)
    # rank and price are strings where filled; the real file has [] and "" where they are not
    rank = []
    if 0.3 < chance < 0.8:
        rank = f"{rng.randrange(900, 3000000):,} in Beauty & Personal Care ("
    price = f"${rng.randrange(4, 90)}.99" if 0.5 < chance < 0.75 else ""
    return {
        "category": [],
        "tech1": "",
        "description": description,
        "fit": "",
        "title": title,
        "also_buy": [],
        "tech2": "",
        "brand": p.brand if chance < 0.96 else "",
        "feature": [capital(p.does), capital(p.feel)] if 0.2 < chance < 0.26 else [],
        "rank": rank,
        "also_view": [],
        "details": {"ASIN: ": asin} if 0.4 < chance < 0.7 else {},
        "main_cat": "All Beauty",
        "similar_item": "",
        "date": "",
        "price": price,
        "asin": asin,
        "imageURL": [],
        "imageURLHighRes": [],
    }


def product_lines(count, seed, brands, categories, brief):
    """Yield `count` JSON lines; about four in a thousand repeat the one before."""
    rng = random.Random(seed)
    encode = json.JSONEncoder(ensure_ascii=False).encode
    line = ""
    for _ in range(count):
        if not line or rng.random() > 0.004:
            line = encode(product_record(rng, brands, categories, brief)) + "\n"
        yield line


def write_products(path, count, seed, brands, level, categories=META_TYPES, brief=0.0):
    """Write `count` products as JSON lines, gzipped if the path ends in .gz.

    The gzip header has no name and no time, so that the same rows give the same bytes.
    """
    lines = product_lines(count, seed, brands, categories, brief)
    with open(path, "wb") as raw:
        out = raw
        if str(path).endswith(".gz"):
            out = gzip.GzipFile(filename="", mode="wb", compresslevel=level, fileobj=raw, mtime=0)
        while block := "".join(itertools.islice(lines, 1000)):
            out.write(block.encode())
        out.close()


def callouts(p, formula=None):
    """'-Argan Oil: Smooths frizz.' for each active; with a formula, for those that are in it."""
    return [
        f"-{name}: {capital(benefit)}."
        for name, inci, benefit in p.actives
        if not formula or inci in formula.ingredients
    ]


def listing_cell(rng, p, formula, shop=True):
    """An `ingredients` cell: the list, and around it what the cells of the real files have.

    With `shop`, also what only those of the Sephora file have.
    """
    text = ingredient_text(rng, formula, p.brand)
    chance = rng.random()
    dashed = shop and rng.random() < 0.2
    filters = [
        f"{tables.SUNSCREEN_NAMES[name]} {rng.randint(3, 10)}%"
        for name in formula.ingredients
        if name in tables.SUNSCREEN_NAMES
    ]
    if p.type.category in tables.SHADED and chance > 0.75:
        gap = " " if dashed or chance > 0.9 else "\n"
        text = f"{shade(rng)}:{gap}{text}"
    elif p.type.category == "Face Sunscreen" and filters and chance > 0.6:
        text = f"Active Ingredients: {', '.join(filters)}: Sunscreen.\n{text}"
    if chance < 0.3 and (said := callouts(p, formula)):
        gap = "" if dashed else pick(rng, ("\n\n",) * 7 + (" \r\n\n", "\n", "<br><br>"))
        text = (" " if dashed else "\n").join(said) + gap + text
    elif chance < 0.36 and shop:
        text = f"-Free of {pick(rng, tables.FREE_OF)}.\n\n{text}"
    elif chance < 0.39:
        text = text.replace(" Extract", " Extract*").replace(" Seed Oil", " Seed Oil*")
        text += "\n*From organic farming."
    elif chance < 0.44 and shop:
        text += tables.CLEAN_SEAL
    elif chance < 0.48:
        text += " Lists may change: see the package for the current one."
    if dashed:
        text = text.replace(", ", pick(rng, ("- ", "- ", "- ", " - ")))
    return text


def sephora_row(rng, identity, category, p, name, cell):
    """One row of sephora_website_dataset.csv.

    About one in eight has the late columns filled, as in the real file.
    """
    slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    code = rng.randrange(100000, 470000)
    full = rng.random() < 0.12
    price = float(rng.randrange(8, 140))
    love = rng.randrange(0, 60000)
    flags = [int(rng.random() < share) for share in (0.22, 0.26, 0.09)]
    words = ("online only", "exclusive", "limited edition")
    said = " · ".join(word for word, flag in zip(words, flags, strict=True) if flag)
    late = [""] * 4
    if full:
        details = headed_text(rng, p)
        how_to_use = pick(rng, (usage(p), usage(p), "no instructions"))
        late = [said or "0", "no options", details, how_to_use]
    size = pick(rng, (p.size, "no size"))
    rating = pick(rng, (5.0, 4.5, 4.5, 4.5, 4.0, 4.0, 4.0, 3.5, 3.5, 3.0, 0.0))
    reviews = rng.randrange(0, 900)
    value_price = price + pick(rng, (0,) * 9 + (10,))
    url = ""
    if rng.random() < 0.45:
        url = f"https://www.example.com/product/{slug}-P{code}?icid2=products grid:p{code}"
    return [
        identity,
        p.brand,
        category,
        name,
        size,
        rating,
        reviews,
        love if love < 1000 else love // 100 * 100,
        price,
        value_price,
        url,
        int(any(flags)),
        *late,
        cell,
        *flags,
        "0.0" if full else "",
    ]


def unusable_cell(rng, p):
    """An `ingredients` cell with no list in it; most of them are 'unknown'."""
    boutique = f"Visit the {p.brand} boutique"
    texts = [f"{p.line} {p.does}.\n{boutique}", boutique, " " + " ".join(callouts(p))]
    return pick(rng, ["unknown"] * 12 + texts)


def gift_cell(rng, brand):
    """The lists of the two or three products in a set, each under its name."""
    products = [draw_product(rng, [brand], part) for part in some(rng, tables.SET_PARTS, 2, 3)]
    lists = []
    for p in products:
        formula = draw_formula(rng, p.type.category, p.actives)
        lists.append(f"{p.line} {p.noun}:\n{ingredient_text(rng, formula, p.brand)}")
    return "\n\n".join(lists)


def sephora_product(rng, brands, category, unusable, made):
    """-> (category, product, name, `ingredients` cell); a usable list is added to `made`."""
    mini = category == "Mini Size"
    gift = category == "Value & Gift Sets"
    kind = pick(rng, tables.SET_PARTS) if mini or gift else tables.ALIASES.get(category, category)
    p = draw_product(rng, brands, kind)
    name = f"{p.line} {'Set' if gift else p.noun}"
    if unusable:
        return category, p, name, unusable_cell(rng, p)
    if gift:
        return category, p, name, gift_cell(rng, p.brand)
    siblings = [entry for entry in made if mini or entry[0] == category]
    if siblings and rng.random() < (0.5 if mini else 0.04):
        # another size of a product: the same list
        _, p, formula = pick(rng, siblings)
        name = f"{p.line} {p.noun} Mini"
    else:
        formula = draw_formula(rng, p.type.category if mini else category, p.actives)
    made.append((category, p, formula))
    return category, p, name, listing_cell(rng, p, formula)


def sephora_rows(rng, brands):
    """-> (rows of the Sephora file in random order, [(category, product, formula)] in them)."""
    made = []
    products = []
    for category, count in tables.SEPHORA_ROWS.items():
        for number in range(count):
            unusable = number < round(0.15 * count) or category == "Face Brushes"
            products.append(sephora_product(rng, brands, category, unusable, made))
    rng.shuffle(products)
    identities = rng.sample(range(1000000, 2400000), len(products))
    pairs = zip(identities, products, strict=True)
    return [sephora_row(rng, identity, *product) for identity, product in pairs], made


def cosmetics_row(rng, brands, label, made):
    """One row of cosmetics.csv; one in twelve lists is also in the Sephora file."""
    category = tables.ALIASES[label]
    p = draw_product(rng, brands, category)
    formula = draw_formula(rng, category, p.actives)
    if rng.random() < 0.08:
        _, p, formula = pick(rng, [entry for entry in made if entry[0] == category])
    cell = re.sub(r"\s+", " ", listing_cell(rng, p, formula, shop=False))
    if rng.random() < 0.15:
        boutique = f"Visit the {p.brand} boutique"
        cell = pick(rng, ["#NAME?", "No Info", boutique, "*From plants.", boutique])
    skin = [0] * 5
    if rng.random() >= 0.32:
        dry, oily, sensitive = [int(rng.random() < share) for share in (0.85, 0.9, 0.8)]
        skin = [1, dry, 1, oily, sensitive]
    rank = f"{rng.triangular(3, 5, 4.4):.1f}".replace(".0", "")
    price = rng.randrange(6, 180)
    return [label, p.brand.upper(), f"{p.line} {p.noun}", price, rank, cell, *skin]


def cosmetics_rows(rng, brands, made):
    """Rows of cosmetics.csv, in blocks of one label as in the real file."""
    return [
        cosmetics_row(rng, brands, label, made)
        for label, count in tables.COSMETICS_ROWS.items()
        for _ in range(count)
    ]


def shop_rows(rng, brands):
    """Rows of title, inci, category; in one of twenty the list or the title is missing."""
    for _ in range(SHOP_ROWS):
        label = pick(rng, list(SHOP_LABELS))
        p = draw_product(rng, brands, SHOP_LABELS[label])
        cell = ingredient_text(rng, draw_formula(rng, SHOP_LABELS[label], p.actives), p.brand)
        missing = rng.random()
        yield ["" if missing < 0.02 else title_of(rng, p), "" if missing > 0.97 else cell, label]


def write_csv(path, header, rows, encoding, line_end):
    """Write a comma-separated header and rows."""
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator=line_end).writerows([header.split(","), *rows])
    path.write_bytes(buffer.getvalue().encode(encoding))


def write_sample(folder=SAMPLE, seed=SEED, products=SAMPLE_PRODUCTS):
    """Write the three files and print path, rows, bytes and sha256 of each."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = random.Random(seed)
    brands = BRANDS[:150]
    sephora, made = sephora_rows(rng, brands[:70])
    cosmetics = cosmetics_rows(rng, brands[:70], made)
    meta_path = folder / "meta_All_Beauty.json.gz"
    cosmetics_path = folder / "cosmetics.csv"
    sephora_path = folder / "sephora_website_dataset.csv"
    kinds = {"categories": SAMPLE_TYPES, "brief": BRIEF}
    write_products(meta_path, products, seed, brands[:12], level=9, **kinds)
    write_csv(cosmetics_path, tables.COSMETICS_HEADER, cosmetics, "utf-8-sig", "\r\n")
    write_csv(sephora_path, tables.SEPHORA_HEADER, sephora, "utf-8", "\n")
    counts = {meta_path: products, cosmetics_path: len(cosmetics), sephora_path: len(sephora)}
    for path, rows in counts.items():
        data = path.read_bytes()
        digest = hashlib.sha256(data).hexdigest()
        print(f"{path}  {rows} rows  {len(data)} bytes  sha256 {digest}")


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
    parser.add_argument("--shop", metavar="FILE", help="write only a shop's table")
    parser.add_argument("--seed", type=int, default=SEED, help=f"default {SEED}")
    args = parser.parse_args(arguments)
    if args.shop:
        rows = shop_rows(random.Random(args.seed), BRANDS[:150])
        write_csv(Path(args.shop), "title,inci,category", rows, "utf-8", "\n")
    elif args.products is None and args.out is None:
        write_sample(seed=args.seed)
    elif args.products is None or args.out is None:
        parser.error("--products and --out go together")
    else:
        write_products(args.out, args.products, args.seed, BRANDS, level=1)


if __name__ == "__main__":
    main()
