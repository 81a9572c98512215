"""Clean texts: no markup, no page code, and never more time than their length is worth."""

import time

import pytest

from beautybert.mlm.corpus import record_text
from beautybert.mlm.markup import clean_text


@pytest.mark.parametrize(
    "raw, clean",
    [
        ("A&nbsp;cr&egrave;me &amp; more", "A crème & more"),
        ("twice &amp;lt;b&amp;gt;bold&amp;lt;/b&amp;gt;", "twice bold"),
        ("under < 5 oz and > 3", "under < 5 oz and > 3"),
        ("<p class='x'>one</p><br/>two<!-- no -->", "one two"),
        ("<script>var a = '<b>';</script>kept<style>p {}</style>", "kept"),
        ("  zero\u200bwidth \n\t folded\u00a0", "zero width folded"),
        ("I <3 this", "I <3 this"),
        ("SPF&#8203;50", "SPF 50"),
        ("mois&shy;turizer", "moisturizer"),
        ("a\x07b\u2028c", "a b c"),
    ],
)
def test_a_clean_text_is_one_line_without_markup(raw, clean):
    assert clean_text(raw) == clean


@pytest.mark.parametrize(
    "raw, clean",
    [
        ("a &#" + "9" * 5000 + "; b &#x" + "f" * 5000 + " c", "a b c"),
        ('P.when("x").execute(function(){});', ""),
        ('Soft. P.when("x").execute(function(m){ m.go(")"); }) new (pink)', "Soft. new (pink)"),
        ("(function(f) {var _p={};f(_p);}(function(P) {})); Nice", "Nice"),
        ('$("#x").hide(function(){}); Nice', "Nice"),
        (".aplus p {margin:0} Nice", "Nice"),
        ("Soft. .aplus h3{margin:0 0 .75em 0;font-size:1em} #a ul, b > p { } Nice", "Soft. Nice"),
        ("/* all */ @media (max-width: 9px) { .a {top:1px} .b > p {color:red} } Nice", "Nice"),
    ],
)
def test_what_is_no_text_is_taken_out(raw, clean):
    assert clean_text(raw) == clean


@pytest.mark.parametrize(
    "text",
    [
        "Rose {note: use daily} cream",
        "Box {width: 10cm}, smooth body {soft}, /* pink */",
        "Price $(12), P.S. (free), A (100 ml), { } window (new)",
        'P.when("x").execute(function(){ is cut off. Nice',
        "the function (of {skin}) is .5 oz",
    ],
)
def test_braces_and_brackets_of_a_text_stay(text):
    assert clean_text(text) == text


FRAGMENTS = (
    "<script <script> <style <!-- --> </script < <a <p> <a> </ & &# &#1 &#x &#xf &amp; &lt; "
    "&lt;script { } {} {a:b;} .a{ .ab{cd:e} ab: {ab: {ab:c .a.b#c, [ ]( ( (function( P.when( "
    'P.when(){ $(" \' " /* /**/ */ @media @media{ @media{} @import ::a( :not( window.a. <![CDATA[ '
    "]]> - \\ ['a' ['a', {'a': u' # 1 a \u200b \u00ad \x07 é \u0301"
)


@pytest.mark.parametrize("fragment", [*FRAGMENTS.split(), " ", "a ", "</script ", "</style \t"])
def test_time_is_linear_in_the_text_whatever_it_repeats(fragment):
    def seconds(characters):
        text = fragment * (characters // len(fragment))
        started = time.process_time()
        clean_text("{ < & " + text)
        record_text({"title": f"['a', {text}", "details": f"{{'a': {text}"}, ("title", "details"))
        return time.process_time() - started

    if seconds(200_000) > 0.2:  # a quadratic search takes seconds
        long, short = (min(seconds(n) for _ in range(3)) for n in (200_000, 100_000))
        assert long <= 3 * short
