"""A page of a listing is read the same, however quickly: no key is lost, changed or made up.

What the parser alone makes of a page, each record by itself, is what has to come out.
"""

from __future__ import annotations

import os
import random

import pytest
from lxml import etree

from aiocos.encoding import records, xml
from aiocos.errors import ResponseParseError
from aiocos.operations.listing import LIST_OBJECTS
from aiocos.request import Reply
from tests.conftest import BUCKET
from tests.support.bulk import fill

ROOT = "ListBucketResult"
LISTS = frozenset({"Contents", "CommonPrefixes", "Version", "DeleteMarker", "Upload", "Part"})
OWNER = "<Owner><ID>1</ID><DisplayName>1</DisplayName></Owner>"
RUNS = int(os.environ.get("AIOCOS_FUZZED_PAGES", "10000"))


def record(number: int, name: str = "Contents", extra: str = OWNER) -> str:
    return (
        f"<{name}><Key>k{number}</Key><ETag>&quot;{number}&quot;</ETag>{extra}"
        f"<Size>{number}</Size></{name}>"
    )


def page(inside: str, before: str = "<IsTruncated>false</IsTruncated>", prolog: str = "") -> bytes:
    return f"{prolog}<{ROOT}>{before}{inside}</{ROOT}>".encode()


def many(name: str = "Contents", count: int = 20, extra: str = OWNER) -> str:
    return "".join(record(number, name, extra) for number in range(count))


def by_the_parser(document: bytes) -> object:
    """Return what the parser makes of it, in the way of the tests: by ElementTree's API."""
    parser = etree.XMLParser(resolve_entities=False, no_network=True, huge_tree=False,
                             remove_comments=True, remove_pis=True)  # fmt: skip
    try:
        root = etree.fromstring(document, parser)
    except etree.XMLSyntaxError:
        return "refused"

    def value(element):
        if not len(element):
            return element.text
        inner: dict[str, list] = {}
        for child in element:
            inner.setdefault(etree.QName(child).localname, []).append(value(child))
        return {k: v if k in LISTS or len(v) > 1 else v[0] for k, v in inner.items()}

    return value(root)


def quickly(document: bytes) -> object:
    return records.tree_of(document, (ROOT,), LISTS)


def pretty(inside: str) -> str:
    """Return elements on lines of their own, with tabs, as COS may write them."""
    return "\n\t" + inside.replace("><", ">\n\t\t<") + "\n"


ORDINARY = {
    "owner": many(),
    "no owner": many(extra=""),
    "versions, then markers": many("Version") + many("DeleteMarker", extra=""),
    "parts": many("Part", extra=""),
    "prefixes": many() + "".join(f"<CommonPrefixes><Prefix>{n}/</Prefix></CommonPrefixes>"
                                 for n in range(9)),
    "percent, plus, apostrophe": many(extra="<X>a%20b+'</X>"),
    "quotes as they are": many().replace("&quot;", '"'),
    "a greater-than sign": many(extra="<X>a>b</X>"),
    "names that are patterns": many(extra="<a.b>1</a.b><a-b>2</a-b>"),
    "spaces": many(extra="<X> </X>"),
    "pretty": pretty(many()),
    "pretty, no owner": pretty(many(extra="")),
    "a line end in a text": many(extra="<X>a\n\tb</X>"),
    "something behind": many() + "<More>1</More>",
}  # fmt: skip


@pytest.mark.parametrize("inside", ORDINARY.values(), ids=ORDINARY)
@pytest.mark.parametrize(
    "prolog", ["", '<?xml version="1.0" encoding="UTF-8"?>\n', "<?xml version='1.0'?>"]
)
def test_an_ordinary_page_is_read_quickly_and_rightly(inside, prolog):
    """A page of records of one shape takes the short way, to the very same result."""
    document = page(inside, prolog=prolog)
    assert quickly(document) == by_the_parser(document) is not None


STRANGE = {
    "one with more": many() + record(20, extra="<New>1</New>") + many(),
    "one with less": many() + record(20, extra="") + many(),
    "another order": many() + "<Contents><ETag>&quot;1&quot;</ETag><Key>k</Key></Contents>",
    "twice one name": many(extra="<X>1</X><X>2</X>"),
    "an empty element": many() + record(20, extra="<Owner/>"),
    "no text": many(extra="<X></X>"),
    "an ampersand": many() + record(20).replace("k20", "a&amp;b"),
    "an ampersand before quot": many() + record(20).replace("k20", "&amp;quot;"),
    "one quote": many() + record(20).replace("20&quot;", "20"),
    "a quote of each kind": many() + record(20).replace("&quot;", '"'),
    "quotes inside": many() + record(20).replace("k20", "k&quot;20"),
    "quotes inside all": many(extra="<X>a&quot;b</X>"),
    "only a quote": many(extra="<X>&quot;</X>"),
    "brackets": many(extra="<X>a[[]]b</X>"),
    "a number for a letter": many() + record(20).replace("k20", "&#97;"),
    "an entity of no meaning": many() + record(20).replace("k20", "&nbsp;"),
    "a line end": many() + record(20).replace("k20", "a\r\nb"),
    "a control character": many() + record(20).replace("k20", "a\x01b"),
    "the end of a section": many() + record(20).replace("k20", "a]]>b"),
    "a section": many() + record(20).replace("k20", "<![CDATA[<b>]]>"),
    "a comment": many().replace("k7", "k<!-- 7 -->7"),
    "all in a comment": f"<!-- {many()} -->",
    "all in a section": f"<X><![CDATA[{many()}]]></X>",
    "all in an instruction": f"<?x {many()}?>",
    "in a comment, and one outside": f"<!-- {many()} --><Contents >{record(0)[10:-1]} >",
    "in another element": f"<Deep>{many()}</Deep>",
    "attributes": many().replace("<Key>k7<", '<Key a="1">k7<'),
    "a namespace inside": many().replace("<Key>k7<", '<Key xmlns="x">k7<'),
    "text between": many() + "lost&amp;" + many(),
    "another element between": many() + "<More>1</More>" + many(),
    "pretty, one with more": pretty(many() + record(20, extra="<New>1</New>")),
    "pretty, and something between": pretty(many() + "<More>1</More>" + many()),
    "pretty, but for one": pretty(many()) + record(20),
    "pretty, with text between": pretty(many()).replace("\n\t\t<Key>k7<", "x<Key>k7<"),
    "pretty, with another space": pretty(many()).replace("\n", "\r\n"),
    "pretty, an empty element": pretty(many(extra="<X></X>")),
    "spaces between": many() + "\n  " + many(),
    "a child inside a text": many().replace("k7<", "k7<b/><"),
    "cut off": many()[:-5],
    "one not closed": many().replace("k7</Key>", "k7"),
    "closed by another": many().replace("k7</Key>", "k7</ETag>"),
    "not ASCII": many().replace("k7", "ключ"),
    "records in records": f"<Contents>{many()}</Contents>",
    "nothing": "",
    "interleaved": "".join(record(n, ("Version", "DeleteMarker")[n % 2]) for n in range(40)),
    "three deep": many(extra="<A><B><C>1</C><D>2</D></B></A>"),
    "a foreign code": many() + record(20).replace("k20", "+ADw-"),
}


@pytest.mark.parametrize("inside", STRANGE.values(), ids=STRANGE)
@pytest.mark.parametrize("prolog", ["", '<?xml version="1.0" encoding="UTF-7"?>'])
def test_a_strange_page_is_left_to_the_parser_or_read_as_it_would(inside, prolog):
    """Whatever a server sends, the short way never gives another answer than the parser."""
    document = page(inside, prolog=prolog)
    assert quickly(document) in (None, by_the_parser(document))


def _damaged(draw: random.Random) -> bytes:
    """Return a page with a few bytes or elements changed, taken away or put in."""
    text = draw.choice([*ORDINARY.values(), draw.choice([*STRANGE.values()])])
    pieces = ["<", ">", "/", "&quot;", "&", "&lt;", "]]>", "<!--", "-->", "<![CDATA[", "<?", "?>",
              "<Contents>", "</Contents>", "<Key>", "</Key>", " ", "\n", "\r", "\0", "é", "%41",
              "<X/>", "</X>", "xmlns='u'", "\x7f", record(99), "=", '"']  # fmt: skip
    for _ in range(draw.randrange(4)):
        start = draw.randrange(len(text) + 1)
        end = min(len(text), start + draw.choice([0, 0, 0, 1, 5, 60]))
        text = text[:start] + draw.choice(pieces) * draw.randrange(2) + text[end:]
    return page(text, prolog=draw.choice(["", "\ufeff", "<?xml version='1.0' encoding='utf-8'?>"]))


@pytest.mark.parametrize("runs", [400, pytest.param(RUNS, marks=pytest.mark.campaign)])
def test_damaged_pages_are_read_as_the_parser_reads_them(runs):
    """Pages with random damage give what the parser gives, or are left to it."""
    draw = random.Random(20261122)
    quick = 0
    for _ in range(runs):
        document = _damaged(draw)
        found = quickly(document)
        assert found is None or found == by_the_parser(document), document
        quick += found is not None
    assert quick > runs / 10


def test_a_page_that_is_no_listing_is_refused_as_ever():
    """Row 2: a thousand records below a root that is not a listing's are not one."""
    document = page(many()).replace(ROOT.encode(), b"html")
    assert quickly(document) is None
    with pytest.raises(ResponseParseError, match="not ListBucketResult"):
        LIST_OBJECTS.decode(Reply(200, {}, document))


def test_too_many_records_are_refused_as_ever():
    """Row 4: a page of more elements than COS sends is not read, by whatever way."""
    document = page("<Contents><Key>k</Key></Contents>" * (xml.MAX_TAGS // 4 + 1))
    assert quickly(document) is None
    with pytest.raises(ResponseParseError, match="more elements"):
        LIST_OBJECTS.decode(Reply(200, {}, document))


async def test_a_servers_page_takes_the_short_way(client, emulator, monkeypatch):
    """The pages that a server sends are read quickly, whatever their keys are made of."""
    keys = [f"{number:02} é&<\"'>+%/\x01\n" for number in range(20)]
    await fill(emulator, keys)
    seen = []
    quick = records.tree_of
    monkeypatch.setattr(records, "tree_of", lambda *asked: seen.append(quick(*asked)) or seen[-1])
    listed = await client.list_objects(BUCKET)
    assert [item["Key"] for item in listed["Contents"]] == keys
    assert seen == [listed]
