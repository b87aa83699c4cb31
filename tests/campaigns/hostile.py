"""XML that attacks who reads it: entities, nesting, size, codes.

In: the name of a document's root. Out: such documents, and what XML consists of, to put into
good ones.
"""

from __future__ import annotations

from functools import cache
from typing import Final

_LAUGHS: Final = "".join(
    f'<!ENTITY l{level} "{f"&l{level - 1};" * 10}">' if level else '<!ENTITY l0 "ha">'
    for level in range(10)
)
_ATTRIBUTES: Final = " ".join(f'a{n}="1"' for n in range(5_000))
_NAMESPACES: Final = " ".join(f'xmlns:n{n}="u{n}"' for n in range(2_000))
TOKENS: Final = (
    b"<", b">", b"</", b"/>", b"&", b"&amp;", b"&#0;", b"&#xD800;", b"&#1114112;", b"&x;", b"&lt;",
    b"<![CDATA[", b"]]>", b"<!--", b"-->", b"<!-- x -->", b"<?x?>", b"<!DOCTYPE r>", b"<Contents/>",
    b"<Contents>x</Contents>", b"<Contents><Key>z</Key></Contents>", b"<Key/>",
    b"<Key><Key/></Key>",
    b"<Key>a</Key>", b"<Prefix/>", b"<Prefix>%2F%zz</Prefix>", b"<Code/>", b"<Error/>",
    b"<Error><Code>SlowDown</Code></Error>", b"<IsTruncated>true</IsTruncated>", b"<NextMarker/>",
    b"<ETag>&quot;00&quot;</ETag>", b"<ETag/>", b"<EncodingType>url</EncodingType>", b"<a:b/>",
    b' xmlns="http://doc.s3.amazonaws.com/2006-03-01"', b' xmlns:a="b"', b"a:", b' a="1" a="2"',
    b"encoding='utf-16'", b"encoding='latin-1'", b"encoding='utf-7'", b"encoding='EBCDIC-CP-US'",
    b'<?xml version="1.1"?>', b'<?xml version="1.0" encoding="UTF-8" standalone="yes"?>',
    b"</Contents>", b"</Key>", b"<html>", b"<x>" * 70, b"<x/>" * 500,
)  # fmt: skip
_TEXTS: Final = {
    "laughs": f"<!DOCTYPE r [{_LAUGHS}]><{{root}}>&l9;</{{root}}>",
    "quadratic": f'<!DOCTYPE r [<!ENTITY a "{"a" * 50_000}">]><{{root}}>{"&a;" * 5_000}</{{root}}>',
    "in an attribute": f'<!DOCTYPE r [{_LAUGHS}]><{{root}} x="&l9;"/>',
    "a file": '<!DOCTYPE r [<!ENTITY f SYSTEM "file:///etc/passwd">]><{root}>&f;</{root}>',
    "a public file": '<!DOCTYPE r PUBLIC "-//a" "file:///etc/passwd"><{root}>&x;</{root}>',
    "a parameter": '<!DOCTYPE r [<!ENTITY % p SYSTEM "file:///etc/passwd"> %p;]><{root}/>',
    "parameters": '<!DOCTYPE r [<!ENTITY % a "%b;"><!ENTITY % b "%a;"> %a;]><{root}/>',
    "itself": '<!DOCTYPE r [<!ENTITY a "&b;"><!ENTITY b "&a;">]><{root}>&a;</{root}>',
    "defaults": '<!DOCTYPE r [<!ATTLIST {root} a CDATA "b">]><{root}/>',
    "notation": '<!DOCTYPE r [<!NOTATION n SYSTEM "x"><!ELEMENT {root} ANY>]><{root}/>',
    "inclusion": '<{root} xmlns:i="http://www.w3.org/2001/XInclude">'
    '<i:include href="file:///etc/passwd" parse="text"/></{root}>',
    "a style": '<?xml-stylesheet href="file:///etc/passwd"?><{root}/>',
    "deep": f"<{{root}}>{'<a>' * 5_000}{'</a>' * 5_000}</{{root}}>",
    "deep and cut": f"<{{root}}>{'<a>' * 100_000}",
    "no more than permitted": f"<{{root}}>{'<a>' * 62}{'</a>' * 62}</{{root}}>",
    "flat": f"<{{root}}>{'<Contents><Key>k</Key></Contents>' * 20_000}</{{root}}>",
    "empty elements": f"<{{root}}>{'<a/>' * 250_000}</{{root}}>",
    "attributes": f"<{{root}} {_ATTRIBUTES}/>",
    "names": f"<{{root}}>{''.join(f'<n{n}/>' for n in range(20_000))}</{{root}}>",
    "namespaces": f"<{{root}} {_NAMESPACES}/>",
    "a long name": f"<{'a' * 100_000}/>",
    "a long text": f"<{{root}}><Key>{'k' * 900_000}</Key></{{root}}>",
    "references": f"<{{root}}>{'&#65;' * 100_000}</{{root}}>",
    "sections": f"<{{root}}>{'<![CDATA[]]>' * 50_000}</{{root}}>",
    "comments": f"<{{root}}>{'<!---->' * 50_000}</{{root}}>",
    "a comment": f"<{{root}}><!--{'-' * 100_000}--></{{root}}>",
    "NUL": "<{root}><Key>a\0b</Key></{root}>",
    "two roots": "<{root}/><{root}/>",
    "text around": "x<{root}/>x",
}
_RAW: Final = {
    "no end of UTF-8": b"<%(root)b><Key>\xc3</Key></%(root)b>",
    "overlong": b"<%(root)b><Key>\xc0\xaf\xc0\xae</Key></%(root)b>",
    "a surrogate": b"<%(root)b><Key>\xed\xa0\x80</Key></%(root)b>",
    "UTF-7": b'<?xml version="1.0" encoding="UTF-7"?>+ADw-%(root)b/+AD4-',
    "UTF-16 by name alone": b'<?xml version="1.0" encoding="UTF-16"?><%(root)b/>',
    "no such code": b'<?xml version="1.0" encoding="no-such-code"?><%(root)b/>',
    "two marks": b"\xef\xbb\xbf\xef\xbb\xbf<%(root)b/>",
    "half of UTF-16": b"\xff\xfe<\0%(root)b\0",
    "UTF-32": b"\xff\xfe\0\0<\0\0\0",
    "nothing": b"",
    "spaces": b" \r\n\t" * 1000,
}


@cache
def documents(root: str) -> tuple[bytes, ...]:
    """All of them, and those without bytes of their own also in UTF-16."""
    texts = [text.replace("{root}", root).replace("{{", "{") for text in _TEXTS.values()]
    small = [text for text in texts if len(text) < 10_000]
    raw = [text % {b"root": root.encode()} for text in _RAW.values()]
    return (
        *(text.encode() for text in texts),
        *(text.encode("utf-16") for text in small),
        *(text.encode("utf-16-be") for text in small),
        *raw,
    )
