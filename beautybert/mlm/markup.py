"""A raw text of a shop's page -> plain text on one line.

Every function takes time that is linear in the length of its text, whatever is in it: a repetition
in an expression is bounded or stops at the character that begins the next attempt, and what an
opening needs a closing for is searched once.
"""

from __future__ import annotations

import html
import re

_TAG = re.compile(r"</?[a-zA-Z][^<>]*>|<!\[CDATA\[|\]\]>")
_REMOVED = [  # opening and closing of what is no text
    (re.compile(r"<script\b", re.IGNORECASE), re.compile(r"</script\s*>", re.IGNORECASE)),
    (re.compile(r"<style\b", re.IGNORECASE), re.compile(r"</style\s*>", re.IGNORECASE)),
    (re.compile(r"<!--"), re.compile(r"-->")),
]
_COMMENT = (re.compile(r"/\*"), re.compile(r"\*/"))  # of CSS
_HUGE_ENTITY = re.compile(r"&#x?[\da-f]{8,}+;?", re.IGNORECASE)  # no character has such a number
# soft hyphens, joiners, direction marks
_INSIDE_WORDS = re.compile("[\u00ad\u200c-\u200f\u202a-\u202e\u2060-\u2064\ufeff]+")
# control characters, zero-width spaces, separators
_BETWEEN_WORDS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\u200b\u2028\u2029]+")


def clean_text(text: str) -> str:
    """Plain text on one line: entities resolved, tags and page code taken out, white space folded.

    Invisible characters are removed, or become a space where they part words. A "<" that opens no
    tag stays ("under < 5 oz"). Entities are resolved twice, for data that was escaped twice.
    """
    if "&" in text:
        if "&#" in text:
            text = _HUGE_ENTITY.sub(" ", text)
        text = html.unescape(_HUGE_ENTITY.sub(" ", html.unescape(text)))
    if "<" in text:
        for opening, closing in _REMOVED:
            text = _without(text, opening, closing)
        text = _TAG.sub(" ", text)
    if "{" in text:
        text = _without_rules(_without_calls(text))
    if not text.isascii():
        text = _INSIDE_WORDS.sub("", text)
    return " ".join(_BETWEEN_WORDS.sub(" ", text).split())


def _without(text: str, opening: re.Pattern, closing: re.Pattern) -> str:
    """The text without what is from an opening to the next closing.

    What is never closed stays: after it nothing can be, so the search ends there.
    """
    kept, position = [], 0
    while found := opening.search(text, position):
        end = closing.search(text, found.end())
        if end is None:
            break
        kept.append(text[position : found.start()])
        position = end.end()
    return " ".join([*kept, text[position:]]) if kept else text


# ---- scripts outside of tags -------------------------------------------------------------------

# P.when("x").execute(function(){...}); (function(f){...}(window)); $("#x").hide();
_CALL = re.compile(
    r"(?<![\w.$])(?:(?:P\.(?:when|register|now|load)|(?:amznJQ|jQuery|window|document|ue)\.\w{1,40})"
    r"(?:\.\w{1,40}){0,5}\(|(?:jQuery|\$)\((?=[\"'dwf])|\(\s?function\b)"
)
_TOKEN = re.compile(r'"[^"]*+"|\'[^\']*+\'|[()\[\]{}]')
_CALL_GOES_ON = re.compile(r"\s?\.\w{1,40}\(|\(")


def _without_calls(text: str) -> str:
    """The text without calls of the page's scripts; one whose brackets do not close stays."""
    kept, position = [], 0
    while call := _CALL.search(text, position):
        end = _call_end(text, call.start())
        if end is None:
            break
        kept.append(text[position : call.start()])
        position = end
    return " ".join([*kept, text[position:]]) if kept else text


def _call_end(text: str, start: int) -> int | None:
    """Where the calls end that begin at `start`; None if a bracket is never closed."""
    depth = 0
    position = start
    while token := _TOKEN.search(text, position):
        position = token.end()
        if token[0] in "([{":
            depth += 1
        elif token[0] in ")]}":
            depth -= 1
            if depth <= 0 and not _CALL_GOES_ON.match(text, position):
                return position + (text[position : position + 1] == ";")
    return None


# ---- style sheets outside of tags --------------------------------------------------------------

_RULE_BODY = re.compile(r"\{\s*(?:[a-zA-Z-]{2,40}\s?:[^{};]*+(?:;\s*|(?=\})))*+\}")
_SELECTORS = re.compile(r"[^\s,>+~]+")
_SELECTOR = re.compile(
    r"(?:\*|a|b|i|p|h[1-6]|em|strong|ul|ol|li|dl|dt|dd|div|span|img|table|tbody|thead|tr|td|th|body"
    r"|html|\d{1,3}%)?(?:[.#][\w-]+|::?[\w-]+(?:\([^()]*\))?|\[[^\[\]]*\])*"
)
_SELECTOR_CHARACTERS = 300  # in front of a rule's body that are looked at
_EMPTY_BLOCK = re.compile(r"@[\w-]{1,40}[^{}@;]{0,200}\{\s*\}|@(?:import|charset)\b[^{};@]{0,200};")


def _without_rules(text: str) -> str:
    """The text without rules of a style sheet: `.aplus p {margin:0}`, `@media print {...}`."""
    bare = _without(text, *_COMMENT)
    kept, position, before = [], 0, 0
    for body in _RULE_BODY.finditer(bare):
        start = _selector_start(bare, before, body.start())
        before = body.end()
        if start < body.start():
            kept.append(bare[position:start])
            position = before
    if not kept:
        return text
    return _EMPTY_BLOCK.sub(" ", " ".join([*kept, bare[position:]]))


def _selector_start(text: str, low: int, high: int) -> int:
    """Where the selectors begin that end at `high`, not before `low`; `high` if there are none."""
    low = max(low, high - _SELECTOR_CHARACTERS)
    start = high
    for part in reversed(list(_SELECTORS.finditer(text, low, high))):
        if not _SELECTOR.fullmatch(part[0]):
            break
        start = part.start()
    return start
