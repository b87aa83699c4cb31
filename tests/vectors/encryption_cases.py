"""The cases of `encryption_v2.json`: see `encryption_reader`, which they are made with.

Nothing in them is random: data keys, nonces and the randomness of OAEP come out of SHA-256 of the
case's name, so that the same file is made every time.
"""

import base64
import hashlib
import hmac
import itertools
import json
import re
import sys
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

from Crypto.Cipher import AES, PKCS1_OAEP
from Crypto.Hash import SHA1, SHA256
from Crypto.PublicKey import RSA
from Crypto.Signature import pss

from tests.vectors import encryption_reader as reader
from tests.vectors.encryption_reader import ENVELOPE, META, SEGMENT, TAG, WIRE, Refused, to_base64

FILE = Path(__file__).with_name("encryption_v2.json")
UNIT = bytes(range(251))
LISTS = ("read", "read_too", "renamed", "refused")
ABOUT = [
    "Encrypted objects, format 2, made from its description alone by",
    "python -m tests.vectors.encryption_reader > tests/vectors/encryption_v2.json",
    "All keys are for tests; aes-20 and rsa-1024 are of sizes that are not allowed. Data keys,",
    "what is derived from them, wrap_nonce and SHA-256 are in hex, all other bytes in base64,",
    "headers as on the wire. A plaintext is base64, or the unit repeated and cut to size.",
    "name is the object's key as COS stores it: 'a' and '/a' are two names.",
    "A ciphertext of 1 KiB or more is given by its SHA-256, its ends and its segments' tags:",
    "the data key and the plaintext make it again, with an empty last segment if empty_last.",
    "wrap_nonce is the nonce a data key is wrapped with by AES-GCM; what RSA makes is not the same",
    "twice, so take it from the envelope.",
    "read: objects to be read, with and without the check of the name. read_too: these too, which",
    "are those of read seen in other but equal ways, or with other headers, as a writer makes them",
    "who gives the object of read another name, metadata or master_key: change says which.",
    "renamed: objects to be refused, but read by who leaves out the check of the name.",
    "refused: objects to be refused by him too, at the same stage unless there is if_renamed.",
    "Here a name, master_key, headers or ciphertext not given is that of the case of read in of;",
    "without: headers to be taken away. with: headers to be put in, in the place of those of just",
    "this name. envelope: takes the place of that header alone. A ciphertext is put together of",
    "pieces: of bytes, or of a ciphertext of read, [case, from, to), and has size bytes.",
    "mac_fits: the object was made with the keys, by a wrong writer, and its mac is right for what",
    "is there: something else has to refuse it. All others can be made without any key, or out of",
    "what the owner of the key wrote at another time.",
    "stage: where this reader refuses it; another order is as good, if not more than may_give_out",
    "bytes of plaintext come out for somebody who reads from the beginning.",
]


def rsa(p: str, q: str) -> RSA.RsaKey:
    a, b = int(p, 16), int(q, 16)
    e = 65537
    return RSA.construct((a * b, e, pow(e, -1, (a - 1) * (b - 1)), a, b))


RSA_2048 = rsa(
    "ccef9c3ad8d841aab2af9e595818cb8dfaeb4abda25a1592c2a5994431250b903f7eecddd299dadda19e3bc3"
    "a11ed6391f8dcfc930d81a007cf4fd586c2a436347a8696ea3f3f2a6a65b1ab0a29579d963f89cede7893cf9"
    "9bd6fb79e114b4a6e135d8fb5e6ab4422588355e83397831e46cc3d6f488ebf375de9150e42871c9",
    "e3bdcb32ea09e357f41699d2c382a3c72adef10ce42ab89f117e6a481c2523949a18032788c742ba16ef620f"
    "84865d8e6dcf19cbc7240bf7681b9dc97c63d11f204708b72dbd3bdab59e9a40b3dd2415c2ad54085b865af0"
    "2a0f71ad1de4e2503d728b4c4c8bfab3c782bc52c94c1d7fe479daebb227747aa4716bbe5dca11b3",
)
RSA_2048_OTHER = rsa(
    "cc402ee10a5d13097f61aaaa452b5a36ff79c7da10ae753a1848a47fcfb8ddcd5c439a5a6150f68e05b48829"
    "6d79d5c6b499d9e8af85d5ee99358d8c9b55df457933edf4527e6f8bc4e41c45a471f31688d3ed5f8067ec2d"
    "defa39f72bc7c49d074f2ee3c1e9ac1356c4d665d37a833258566c11b44e6699673ba3690f362caf",
    "e8a670fe26f46021e288a74246ed460c50e379a80cf564dd52ee53b3ede0e5b8f3b31a7ec1eaa794660ccfc2"
    "c2396841a22acb8760b72441c50d2ec1d76415991989ec30b73834eab422f85320dfbc078ca9c1870f455d23"
    "81591a3f0100c4818f10ef5a229b280268f9710c1b8d2f7417efbd87486a1d94004bd530d4b9910b",
)
RSA_1024 = rsa(
    "dbd9846054ddc2fd1c3b2b8f30e138bcc1116273c00b678015c3b48d2fb5a2b168f48cc3edb0da4b183e2fdd"
    "cabc4c1579fb141c6388369d470d69fc3c2a7c3d",
    "e2bf71fd356d5b0963adbbc8a9f1ad293117221de278e87c7e981d984b2c44e8150cef5eb89573f81c9af467"
    "ef8a12d0e5db470cf14e409a95c2bda56cd05261",
)


class Stream:
    """Bytes that look random and are always the same for a label."""

    def __init__(self, label: str) -> None:
        self._blocks = (
            hashlib.sha256(f"{label}/{index}".encode()).digest() for index in itertools.count()
        )
        self._bytes = itertools.chain.from_iterable(self._blocks)

    def __call__(self, size: int) -> bytes:
        return bytes(itertools.islice(self._bytes, size))


MASTER_KEYS: dict[str, reader.MasterKey] = {
    "aes-16": Stream("master key of 16")(16),
    "aes-24": Stream("master key of 24")(24),
    "aes-32": Stream("master key of 32")(32),
    "aes-32-other": Stream("another master key of 32")(32),
    "rsa-2048": RSA_2048,
    "rsa-2048-other": RSA_2048_OTHER,
    "rsa-1024": RSA_1024,
    "aes-20": Stream("master key of 20")(20),
}
METADATA = {
    "x-cos-meta-Author": "%E4%BD%A0%E5%A5%BD%20A%2fB",
    "x-cos-meta-a": "1",
    "X-Cos-Meta-A_b": "2;mac=not-this",
    "x-cos-meta-a-B": "",
    "x-cos-meta-aB": "Case Stays",
    "x-cos-meta-aiocos-encryption-2": "not the envelope",
    "x-cos-meta-aiocos-encryptio": "v=2",
    "X-COS-META-Z": "100%",
}


def plaintext_of(case: dict) -> bytes:
    plaintext = case["plaintext"]
    if "base64" in plaintext:
        return base64.b64decode(plaintext["base64"])
    size = plaintext["size"]
    return (UNIT * (size // len(UNIT) + 1))[:size]


def describe(ciphertext: bytes) -> dict:
    tags = [to_base64(ciphertext[at : at + WIRE][-TAG:]) for at in range(0, len(ciphertext), WIRE)]
    given = {"size": len(ciphertext), "sha256": hashlib.sha256(ciphertext).hexdigest()}
    if len(ciphertext) < 1024:
        return given | {"base64": to_base64(ciphertext), "tags": tags}
    ends = {"first": to_base64(ciphertext[:64]), "last": to_base64(ciphertext[-64:])}
    return given | ends | {"tags": tags}


def describe_keys(headers: dict, data_key: bytes) -> dict:
    envelope = reader.parse(headers)
    keys = {"data_key": data_key} | {
        f"{purpose}_key": reader.hkdf(data_key, purpose.encode())
        for purpose in ("content", "envelope", "name")
    }
    if envelope["wrap"] == "AES-GCM":
        keys["wrap_nonce"] = envelope["key"][:12]
    return {label: value.hex() for label, value in keys.items()}


class Read:
    """A case to be read, and its ciphertext."""

    def __init__(
        self,
        label: str,
        size: int,
        *,
        name: str = "backup/2024.tar",
        master_key: str = "aes-32",
        metadata: dict[str, str] | None = None,
        is_length_known: bool = True,
        empty_last: bool = False,
    ) -> None:
        self.label, self.name, self.master_key = label, name, master_key
        self.metadata = metadata or {}
        self.data_key = Stream(f"data key/{label}")(32)
        self.plaintext = (UNIT * (size // 251 + 1))[:size]
        self.headers, self.ciphertext = reader.seal(
            self.plaintext,
            self.data_key,
            name=name,
            master_key=MASTER_KEYS[master_key],
            metadata=self.metadata,
            is_length_known=is_length_known,
            empty_last=empty_last,
            random=Stream(f"wrap/{label}"),
        )
        self.envelope = self.headers[ENVELOPE]
        self.fields = self.envelope.partition(";mac=")[0]
        self.options = {"length_known": is_length_known, "empty_last": empty_last}

    def with_key(self, key: bytes, data_key: bytes | None = None, **other: str) -> str:
        """The fields, with another wrapped data key, or another data key."""
        form = reader.parse(self.headers)
        given = {"length": form["len"], "wrap": form["wrap"], "kid": form["kid"]} | other
        return reader.write_fields(data_key or self.data_key, name=self.name, key=key, **given)

    def sealed(self, fields: str, label: str = "") -> str:
        """An envelope of other fields, with a mac that fits."""
        mac = reader.compute_mac(self.data_key, fields, self.metadata)
        return f"{fields}{label or ';mac='}{to_base64(mac)}"

    def as_json(self) -> dict:
        small = len(self.plaintext) <= 64
        return {
            "id": self.label,
            "name": self.name,
            "master_key": self.master_key,
            **describe_keys(self.headers, self.data_key),
            **self.options,
            "metadata": self.metadata,
            "plaintext": {"base64": to_base64(self.plaintext)}
            if small
            else {"size": len(self.plaintext)},
            "headers": self.headers,
            "ciphertext": describe(self.ciphertext),
        }


def reads() -> Iterator[Read]:
    for size in (0, 1, 15, 16, 65535, 65536, 65537, 131072, 200000):
        yield Read(f"{size} bytes", size)
        yield Read(f"{size} bytes, length unknown", size, is_length_known=False)
    for size in (65536, 131072):
        label = f"{size} bytes, empty last segment"
        yield Read(label, size, empty_last=True)
        yield Read(f"{label}, length unknown", size, empty_last=True, is_length_known=False)
    yield Read("200000 bytes, another version", 200000)
    yield Read("200000 bytes, another version, length unknown", 200000, is_length_known=False)
    for key in ("aes-16", "aes-24", "rsa-2048"):
        yield Read(f"master key {key}", 100, master_key=key)
        yield Read(f"master key {key}, empty", 0, master_key=key, is_length_known=False)
    yield Read("rsa and metadata", 70000, master_key="rsa-2048", metadata=METADATA)
    yield Read("metadata", 1000, metadata=METADATA)
    yield Read("one empty header", 20, metadata={"x-cos-meta-empty": ""})
    yield Read("the prefix alone", 20, metadata={META: "no name"})
    yield Read("two headers", 20, metadata={"x-cos-meta-a": "bc", "x-cos-meta-d": "e"})
    names = {
        "a": "a",
        "slash a": "/a",
        "two slashes a": "//a",
        "a slash": "a/",
        "only a slash": "/",
        "leading slash": "/a/b.txt",
        "slashes inside and behind": "a//b/../c/",
        "spaces and signs": "a b+c%20d?e#f&g=h;mac=i",
        "Chinese": "目录/文件.txt",
        "composed": unicodedata.normalize("NFC", "é/Å.txt"),
        "decomposed": unicodedata.normalize("NFD", "é/Å.txt"),
        "outside the BMP": "🔑/key",
        "long": "n" * 850,
    }
    for label, name in names.items():
        yield Read(f"name: {label}", 40, name=name)


def other_views(of: dict[str, Read]) -> Iterator[dict]:
    def view(what: str, headers: dict) -> dict:
        return {"id": what, "of": "metadata", "name": case.name, "headers": headers}

    case = of["metadata"]
    yield view("headers in another order", dict(reversed(case.headers.items())))
    for change in (str.upper, str.lower, str.title):
        changed = {change(key): value for key, value in case.headers.items()}
        yield view(f"names of headers in {change.__name__} case", changed)
    more = {"Content-Type": "text/html", "x-cos-storage-class": "ARCHIVE", "x-cos-metadata": "no"}
    yield view("other headers beside it", more | case.headers)
    spaced = {f"x-cos-meta-{key}": f"  {value} " for key, value in (("a", "1"), ("A_b", "x y"))}
    bare = {key: value.strip() for key, value in spaced.items()}
    sealed = reader.change(case.headers, case.name, MASTER_KEYS["aes-32"], metadata=bare)
    changed = view("spaces around values", spaced | {ENVELOPE: sealed[ENVELOPE]})
    yield changed | {"change": {"metadata": bare}}
    yield from changes(of)


def changes(of: dict[str, Read]) -> Iterator[dict]:
    for label, what, given in (
        ("metadata", "copied to another name", {"name": "copy/2024.tar"}),
        ("metadata", "copied with other metadata", {"metadata": {"X-Cos-Meta-New": "1"}}),
        ("metadata", "copied without metadata to another name", {"name": "b", "metadata": {}}),
        ("1 bytes, length unknown", "copied to another name", {"name": "/backup/2024.tar"}),
        ("rsa and metadata", "copied to another name", {"name": "copy/2024.tar"}),
        ("200000 bytes", "another master key", {"master_key": "aes-16"}),
        ("200000 bytes", "an RSA key after an AES key", {"master_key": "rsa-2048"}),
        ("rsa and metadata", "an AES key after an RSA key", {"master_key": "aes-32"}),
        ("name: slash a", "another key of one kind", {"master_key": "aes-32-other"}),
        ("name: slash a", "copied to the name without a slash", {"name": "a"}),
    ):
        case, key = of[label], given.get("master_key")
        headers = reader.change(
            case.headers,
            case.name,
            MASTER_KEYS[case.master_key],
            new_name=given.get("name"),
            metadata=given.get("metadata"),
            new_master_key=None if key is None else MASTER_KEYS[key],
            random=Stream(f"change/{label}/{what}"),
        )
        at = {"name": given.get("name", case.name)} | ({"master_key": key} if key else {})
        keys = describe_keys(headers, case.data_key)
        nonce = {"wrap_nonce": keys["wrap_nonce"]} if "wrap_nonce" in keys else {}
        start = {"id": f"{label}: {what}", "of": label}
        yield start | at | nonce | {"change": given, "headers": headers}


class Refusals:
    """Collects the objects to be refused."""

    def __init__(self, of: dict[str, Read]) -> None:
        self.of = of
        self.cases: list[dict] = []
        self.renamed: list[dict] = []
        self._bases = {label: case.as_json() for label, case in of.items()}
        self._contents = {label: case.ciphertext for label, case in of.items()}

    def add(
        self,
        label: str,
        what: str,
        *,
        envelope: str | None = None,
        headers: dict | None = None,
        name: str | None = None,
        master_key: str | None = None,
        pieces: list | None = None,
        mac_fits: bool = False,
        is_read_renamed: bool = False,
    ) -> None:
        case = {"id": f"{label}: {what}", "of": label} | ({"mac_fits": True} if mac_fits else {})
        changes = {
            "name": name,
            "master_key": master_key,
            **({} if headers is None else difference(self.of[label].headers, headers)),
            "envelope": envelope,
            "ciphertext": pieces,
        }
        case |= {key: value for key, value in changes.items() if value is not None}
        if pieces is not None:
            ciphertext = put_together(pieces, self._contents)
            case["size"] = len(ciphertext)
        first, second = (
            outcome(case, self._bases[label], self._contents, MASTER_KEYS, renamed=renamed)
            for renamed in (False, True)
        )
        assert first["stage"] is not None, f"read, but must be refused: {case['id']}"
        assert not (mac_fits and first["stage"] == "mac"), case["id"]
        assert first["stage"] == "name" or first == second, case["id"]
        assert is_read_renamed == (second["stage"] is None), case["id"]
        known = (other["id"] for other in self.cases + self.renamed)
        assert case["id"] not in known, case["id"]
        if is_read_renamed:
            self.renamed.append(case | first)
        else:
            self.cases.append(case | first | ({} if first == second else {"if_renamed": second}))


def difference(old: dict, new: dict) -> dict:
    """How to come from the old headers to the new ones, or these, where their order matters."""
    without = [key for key in old if key not in new]
    more = {key: value for key, value in new.items() if old.get(key) != value}
    case = {"without": without or None, "with": more or None}
    return case if list(changed(old, case).items()) == list(new.items()) else {"headers": new}


def changed(headers: dict, case: dict) -> dict:
    """The headers of a case that changes those of another."""
    kept = {key: headers[key] for key in headers if key not in (case.get("without") or ())}
    kept |= case.get("with") or {}
    return kept | ({ENVELOPE: case["envelope"]} if "envelope" in case else {})


def put_together(pieces: list, contents: dict[str, bytes]) -> bytes:
    return b"".join(
        base64.b64decode(piece)
        if isinstance(piece, str)
        else contents[piece[0]][piece[1] : piece[2]]
        for piece in pieces
    )


def outcome(
    case: dict,
    base: dict,
    contents: dict[str, bytes],
    keys: dict[str, reader.MasterKey],
    *,
    renamed: bool,
) -> dict:
    """Where a case is refused, None for nowhere, and how much of it was given out before."""
    ciphertext = contents[case["of"]]
    if "ciphertext" in case:
        ciphertext = put_together(case["ciphertext"], contents)
        assert len(ciphertext) == case["size"], case["id"]
    seen, given = base | case, 0
    name, master_key = seen["name"], keys[seen["master_key"]]
    headers = changed(seen["headers"], case)
    plaintext, stage = plaintext_of(base), None
    try:
        for part in reader.open_segments(ciphertext, headers, name, master_key, renamed=renamed):
            assert plaintext.startswith(part, given), f"a wrong byte: {case['id']}"
            given += len(part)
    except Refused as error:
        stage = error.args[0]
    assert stage is not None or given == len(plaintext), case["id"]
    return {"stage": stage, "may_give_out": given}


def refuse_envelopes(to: Refusals) -> None:
    """What stands in the envelope is not what its writer wrote."""
    for label in ("metadata", "1 bytes, length unknown", "rsa and metadata"):
        case = to.of[label]
        text = case.envelope
        for field in re.finditer(r"(?:^|;)([a-z0-9]+)=([^;]*)", text):
            for what, at in (
                ("name", field.start(1)),
                ("first byte", field.start(2)),
                ("last byte", field.end(2) - {"name": 4, "key": 3, "mac": 3}.get(field[1], 1)),
            ):
                changed = f"{text[:at]}{chr(ord(text[at]) ^ 1)}{text[at + 1 :]}"
                to.add(label, f"a bit flipped in {field[1]}: {what}", envelope=changed)
            end = field.end() + (field.start() == 0)
            to.add(label, f"{field[1]} left out", envelope=text[: field.start()] + text[end:])
    case = to.of["metadata"]
    text = case.envelope
    other = to.of["200000 bytes"].envelope
    for field in ("name", "key", "mac"):
        mine, theirs = (re.search(f";{field}=[^;]*", each)[0] for each in (text, other))
        to.add("metadata", f"{field} of another object", envelope=text.replace(mine, theirs))
    zeros = text.partition(";mac=")[0] + ";mac=" + to_base64(bytes(32))
    to.add("metadata", "a mac of zeros", envelope=zeros)
    to.add("metadata", "the length written into it", envelope=text.replace("len=1000", "len=999"))
    late = to.of["1 bytes, length unknown"].envelope
    late = late.replace("seg=65536", "seg=65536;len=1")
    to.add("1 bytes, length unknown", "a length, though right, put in", envelope=late)
    tail = text[-2]
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    spare = alphabet[alphabet.index(tail) | 1]
    spare = spare if spare != tail else alphabet[alphabet.index(tail) ^ 2]
    to.add("metadata", "spare bits set in mac", envelope=f"{text[:-2]}{spare}=")
    headers = {key: value for key, value in case.headers.items() if key != ENVELOPE}
    to.add("metadata", "no envelope", headers=headers)
    to.add("metadata", "an empty envelope", envelope="")
    twice = case.headers | {ENVELOPE.title(): other}
    to.add("metadata", "two envelopes, the second of another object", headers=twice)
    version = to.of["200000 bytes, another version"]
    to.add("200000 bytes", "envelope of another version", envelope=version.envelope)


def refuse_forms(to: Refusals) -> None:
    """The mac fits the text, but the text is not of the form."""
    label = "metadata"
    case = to.of[label]
    fields = case.fields
    v, seg, length, name, wrap, kid, key = fields.split(";")

    def form(what: str, *parts: str, base: str = label) -> None:
        envelope = to.of[base].sealed(";".join(parts))
        to.add(base, what, envelope=envelope, mac_fits=True)

    form("v and seg exchanged", seg, v, length, name, wrap, kid, key)
    form("len behind wrap", v, seg, name, wrap, length, kid, key)
    form("kid before wrap", v, seg, length, name, kid, wrap, key)
    form("key before kid", v, seg, length, name, wrap, key, kid)
    form("len twice", v, seg, length, length, name, wrap, kid, key)
    form("kid twice", v, seg, length, name, wrap, kid, kid, key)
    form("a field more", v, seg, length, name, wrap, kid, "alg=AES", key)
    form("a field more before mac", v, seg, length, name, wrap, kid, key, "x=")
    form("an empty field", v, seg, length, name, wrap, kid, "", key)
    form("a field more at the beginning", "a=b", v, seg, length, name, wrap, kid, key)
    form("a space behind a semicolon", v, " " + seg, length, name, wrap, kid, key)
    form("a space at the beginning", " " + v, seg, length, name, wrap, kid, key)
    form("a tab", v + "\t", seg, length, name, wrap, kid, key)
    form("another separator", fields.replace(";", ","))
    for bad in ("v=1", "v=3", "v=02", "v=2.0", "V=2", "v=", "v"):
        form(f"{bad} instead of v=2", bad, seg, length, name, wrap, kid, key)
    for bad in ("65537", "065536", "4096", "0", "-65536", "6_5536"):
        form(f"seg={bad}", v, f"seg={bad}", length, name, wrap, kid, key)
    for bad in ("01000", "00", "", "+1000", "-1", "1_000", "1000.0", "0x3E8", "1e3", "1000L", " 1"):
        form(f"len={bad}", v, seg, f"len={bad}", name, wrap, kid, key)
    form("LEN in upper case", v, seg, length.upper(), name, wrap, kid, key)
    form("len of 19 digits", v, seg, "len=" + "9" * 19, name, wrap, kid, key)
    form("len of 20 digits", v, seg, "len=" + "9" * 20, name, wrap, kid, key)
    form("len of 20 digits, the right one", v, seg, "len=" + "1000".zfill(20), name, wrap, kid, key)
    form("len of 30 digits", v, seg, "len=" + "9" * 30, name, wrap, kid, key)
    form("len of 500 digits", v, seg, "len=" + "9" * 500, name, wrap, kid, key)
    for bad in ("999", "1001", "0", "1016", "10000"):
        form(f"len={bad}, not the length", v, seg, f"len={bad}", name, wrap, kid, key)
    for bad in ("", "aes-gcm", "AES-GCM-2", "A" * 33, "AES GCM", "AES/GCM", "RSA-OAEP-SHA256"):
        form(f"wrap={bad}", v, seg, length, name, f"wrap={bad}", kid, key)
    others = ["", kid[4:].upper(), kid[4:-1], "0" * 16, "k" * 129, "a b", "a,b", "a=b"]
    for bad in others:
        form(f"kid={bad[:20]}", v, seg, length, name, wrap, f"kid={bad}", key)
    to.add(
        label,
        "MAC in upper case",
        envelope=case.sealed(fields, ";MAC="),
        mac_fits=True,
    )
    good = case.sealed(fields)
    to.add(label, "a field behind mac", envelope=good + ";x=1", mac_fits=True)
    to.add(label, "a semicolon behind mac", envelope=good + ";", mac_fits=True)
    to.add(label, "mac twice", envelope=good + good[good.index(";mac=") :], mac_fits=True)
    form("no name", v, seg, length, wrap, kid, key)
    form("name before len", v, seg, name, length, wrap, kid, key)
    form("name behind wrap", v, seg, length, wrap, name, kid, key)
    form("name at the end", v, seg, length, wrap, kid, key, name)
    form("name twice", v, seg, length, name, name, wrap, kid, key)
    form("NAME in upper case", v, seg, length, name.replace("name", "NAME"), wrap, kid, key)
    mine = name.removeprefix("name=")
    raw = base64.b64decode(mine)
    for what, bad in {
        "without padding": mine.rstrip("="),
        "with less padding": mine[:-1],
        "with more padding": mine + "=",
        "with spare bits set": f"{mine[:-3]}{chr(ord(mine[-3]) + 1)}==",
        "with garbage": f"{mine[:8]}*{mine[8:]}",
        "in the URL alphabet": re.sub("[A-Za-z0-9]", "-", mine, count=1),
        "in hex": raw.hex(),
        "of 15 bytes": to_base64(raw[:15]),
        "of 17 bytes": to_base64(raw + b"\x00"),
        "of all 32 bytes": to_base64(raw + bytes(16)),
        "empty": "",
        "as text": case.name.replace("/", "+"),
    }.items():
        form(f"name {what}", v, seg, length, f"name={bad}", wrap, kid, key)
    mac = good.partition(";mac=")[2]
    raw = base64.b64decode(mac)
    for what, bad in {
        "without padding": mac.rstrip("="),
        "with more padding": mac + "=",
        "with garbage": f"{mac[:8]}*{mac[8:]}",
        "with a space": f"{mac[:8]} {mac[8:]}",
        "with a comma behind": mac + ",",
        "in the URL alphabet": re.sub("[A-Za-z0-9]", "_", mac, count=1),
        "in hex": raw.hex(),
        "of 16 bytes": to_base64(raw[:16]),
        "of 31 bytes": to_base64(raw[:31]),
        "of 33 bytes": to_base64(raw + b"\x00"),
        "empty": "",
    }.items():
        to.add(label, f"mac {what}", envelope=f"{fields};mac={bad}", mac_fits=True)
    base = to.of["master key rsa-2048"]
    start, _, text = base.fields.partition(";key=")
    for what, bad in {
        "without padding": text.rstrip("="),
        "with more padding": text + "=",
        "with padding inside": f"{text[:2]}=={text[4:]}",
        "with garbage": f"{text[:8]}!{text[8:]}",
        "with a line end": f"{text[:76]}\n{text[76:]}",
        "with spare bits set": f"{text[:-3]}{chr(ord(text[-3]) + 1)}==",
        "empty": "",
        "of 1025 bytes": to_base64(bytes(1025)),
        "cut by a byte": to_base64(base64.b64decode(text)[:-1]),
        "with a zero before it": to_base64(b"\x00" + base64.b64decode(text)),
        "of zeros": to_base64(bytes(256)),
    }.items():
        form(f"key {what}", f"{start};key={bad}", base=base.label)


def refuse_wraps(to: Refusals) -> None:
    """The data key is wrapped in another way than the page says, and the mac fits."""
    for label, what, key in wrongly_wrapped(to):
        case = to.of[label]
        fields = case.with_key(key)
        to.add(label, f"data key wrapped {what}", envelope=case.sealed(fields), mac_fits=True)
    label = "master key rsa-2048"
    data_key, small = to.of[label].data_key, PKCS1_OAEP.new(RSA_1024, SHA256, randfunc=Stream("s"))
    kid = hashlib.sha256(RSA_1024.public_key().export_key("DER")).hexdigest()[:16]
    envelope = to.of[label].sealed(to.of[label].with_key(small.encrypt(data_key), kid=kid))
    to.add(
        label, "an RSA key of 1,024 bits", envelope=envelope, master_key="rsa-1024", mac_fits=True
    )
    secret, nonce, label = MASTER_KEYS["aes-20"], Stream("20")(12), "16 bytes"
    cipher = reader.gcm(secret, b"wrapping", nonce, reader.INFO + b"data key")
    key = nonce + b"".join(cipher.encrypt_and_digest(to.of[label].data_key))
    kid = reader.hkdf(secret, b"key id")[:8].hex()
    envelope = to.of[label].sealed(to.of[label].with_key(key, kid=kid))
    to.add(label, "an AES key of 20 bytes", envelope=envelope, master_key="aes-20", mac_fits=True)


def wrongly_wrapped(to: Refusals) -> Iterator[tuple[str, str, bytes]]:
    label = "16 bytes"
    master, data_key, nonce = MASTER_KEYS["aes-32"], to.of[label].data_key, Stream("wrong")(12)
    additional = reader.INFO + b"data key"

    def by(cipher, data: bytes = data_key, tag: int = TAG) -> bytes:
        ciphertext, whole = cipher.encrypt_and_digest(data)
        return nonce + ciphertext + whole[:tag]

    def right():
        return reader.gcm(master, b"wrapping", nonce, additional)

    yield label, "without additional data", by(reader.gcm(master, b"wrapping", nonce))
    direct = AES.new(master, AES.MODE_GCM, nonce=nonce).update(additional)
    yield label, "under the master key itself", by(direct)
    yield label, "under the key of the key id", by(reader.gcm(master, b"key id", nonce, additional))
    yield label, "with a tag of 12 bytes", by(right(), tag=12)
    yield label, "without its nonce", by(right())[12:]
    yield label, "with the nonce behind", by(right())[12:] + nonce
    yield label, "and only 1 byte of it", by(right())[:1]
    yield label, "and only 27 bytes of it", by(right())[:27]
    yield label, "and only 28 bytes of it", by(right())[:28]
    yield label, "and one byte more", by(right()) + b"\x00"
    label = "master key rsa-2048"
    data_key = to.of[label].data_key
    ways = {
        "by OAEP of SHA-1": PKCS1_OAEP.new(RSA_2048, SHA1, randfunc=Stream("1")),
        "by OAEP with a label": PKCS1_OAEP.new(RSA_2048, SHA256, None, b"x", Stream("2")),
        "by OAEP with MGF1 of SHA-1": PKCS1_OAEP.new(
            RSA_2048, SHA256, lambda seed, size: pss.MGF1(seed, size, SHA1), randfunc=Stream("3")
        ),
        "for another RSA key": PKCS1_OAEP.new(RSA_2048_OTHER, SHA256, randfunc=Stream("4")),
    }
    for what, cipher in ways.items():
        yield label, what, cipher.encrypt(data_key)


def refuse_short_data_keys(to: Refusals) -> None:
    """Data keys that are not of 32 bytes; everything else is as it has to be."""
    for label in ("16 bytes", "master key rsa-2048"):
        case = to.of[label]
        master = MASTER_KEYS[case.master_key]
        for size in (0, 16, 31, 33, 64):
            data_key = Stream("short")(size)
            key = reader.wrap(data_key, master, Stream(f"{label}{size}"))
            fields = reader.write_fields(
                data_key,
                length=len(case.plaintext),
                name=case.name,
                wrap=reader.identify(master)[0],
                kid=reader.identify(master)[1],
                key=key,
            )
            mac = to_base64(reader.compute_mac(data_key, fields, case.metadata))
            content = to_base64(reader.seal_content(case.plaintext, data_key))
            to.add(
                label,
                f"a data key of {size} bytes",
                envelope=f"{fields};mac={mac}",
                pieces=[content],
                mac_fits=True,
            )


def refuse_metadata(to: Refusals) -> None:
    label = "metadata"
    headers = to.of[label].headers
    for name in METADATA:
        without = {key: value for key, value in headers.items() if key != name}
        to.add(label, f"{name} removed", headers=without)
        to.add(label, f"{name} edited", headers=headers | {name: headers[name] + "x"})
        to.add(label, f"{name} renamed", headers=without | {name + "x": headers[name]})
    author = "x-cos-meta-Author"
    for what, value in {
        "decoded and encoded again": "%E4%BD%A0%E5%A5%BD%20A%2FB",
        "in small hex": headers[author].lower(),
        "with + for a space": headers[author].replace("%20", "+"),
        "partly decoded": headers[author].replace("%2f", "/"),
    }.items():
        to.add(label, f"{author} {what}", headers=headers | {author: value})
    for what, more in {
        "a header added": {"x-cos-meta-new": "1"},
        "an empty header added": {"x-cos-meta-new": ""},
        "the prefix alone added": {META: ""},
        "a name given twice": {"X-COS-META-a": "1"},
        "a name given twice with another value": {"X-Cos-Meta-Author": "somebody"},
    }.items():
        to.add(label, what, headers=headers | more)
    to.add(label, "a name given twice, the false one first", headers={META + "A": "0"} | headers)
    swapped = {author: headers["x-cos-meta-a"], "x-cos-meta-a": headers[author]}
    to.add(label, "two values exchanged", headers=headers | swapped)
    envelope = {ENVELOPE: to.of["two headers"].envelope}
    for what, metadata in {
        "a byte moved from value to name": {"x-cos-meta-ab": "c", "x-cos-meta-d": "e"},
        "two values joined": {"x-cos-meta-a": "bc,e"},
        "two headers made one": {"x-cos-meta-a": "bcx-cos-meta-de"},
        "all removed": {},
    }.items():
        to.add("two headers", what, headers=metadata | envelope)
    first = to.of["1 bytes"].headers | {"x-cos-meta-a": "1"}
    to.add("1 bytes", "a first header", headers=first)


def refuse_names(to: Refusals) -> None:
    """Objects moved as a whole: read by who leaves out the check of the name."""
    for label, name in (
        ("1 bytes", "backup/2025.tar"),
        ("1 bytes", "backup/2024.tar/"),
        ("1 bytes", "backup//2024.tar"),
        ("1 bytes", "/backup/2024.tar"),
        ("1 bytes", "//backup/2024.tar"),
        ("1 bytes", "Backup/2024.tar"),
        ("1 bytes", "backup%2F2024.tar"),
        ("1 bytes", "backup/2024.tar "),
        ("1 bytes", ""),
        ("1 bytes, length unknown", "backup/2025.tar"),
        ("rsa and metadata", "backup/2025.tar"),
        ("200000 bytes", "a/b"),
        ("name: a", "/a"),
        ("name: a", "a/"),
        ("name: slash a", "a"),
        ("name: slash a", "//a"),
        ("name: two slashes a", "/a"),
        ("name: a slash", "a"),
        ("name: only a slash", ""),
        ("name: leading slash", "a/b.txt"),
        ("name: slashes inside and behind", "a/b/../c/"),
        ("name: slashes inside and behind", "a/c/"),
        ("name: spaces and signs", "a b+c d?e#f&g=h;mac=i"),
        ("name: spaces and signs", "a b c%20d?e#f&g=h;mac=i"),
        ("name: composed", unicodedata.normalize("NFD", "é/Å.txt")),
        ("name: decomposed", unicodedata.normalize("NFC", "é/Å.txt")),
        ("name: Chinese", "%E7%9B%AE%E5%BD%95/%E6%96%87%E4%BB%B6.txt"),
    ):
        to.add(label, f"under the name {name!r}", name=name, is_read_renamed=True)
    refuse_moved(to)
    refuse_wrong_names(to)
    refuse_mixed(to)


def refuse_moved(to: Refusals) -> None:
    """Moved, and not as a whole: refused whether the name is checked or not."""
    other = to.of["200000 bytes, another version"]
    for label in ("metadata", "1 bytes, length unknown", "name: slash a"):
        case = to.of[label]
        mine, theirs = (reader.parse(each.headers)["name"] for each in (case, other))
        changed = bytes([mine[0] ^ 1]) + mine[1:]
        more = case.headers | {"x-cos-meta-added": "1"}
        names = {"in its place": None, "under another name": "moved/2024.tar"}
        for place, name in names.items():
            for what, field in {
                "zeros as its name field": bytes(16),
                "the name field of another object": theirs,
                "a bit flipped in its name field": changed,
            }.items():
                envelope = case.envelope.replace(to_base64(mine), to_base64(field))
                to.add(label, f"{place}, {what}", name=name, envelope=envelope)
        at = names["under another name"]
        to.add(label, "under another name, a header added", name=at, headers=more)
        size = len(case.ciphertext)
        flipped = to_base64(bytes([case.ciphertext[-1] ^ 1]))
        for what, pieces in {
            "cut by a byte": [[label, 0, size - 1]],
            "a bit flipped in the last tag": [[label, 0, size - 1], flipped],
            "cut to 15 bytes": [[label, 0, 15]],
        }.items():
            to.add(label, f"under another name, {what}", name=at, pieces=pieces)
    label = "200000 bytes, length unknown"
    pieces = [[label, 0, 2 * WIRE]]
    to.add(label, "under another name, ended early", name="a", pieces=pieces)
    first, second, size = [label, 0, WIRE], [label, WIRE, 2 * WIRE], len(to.of[label].ciphertext)
    pieces = [first, second, second, [label, 3 * WIRE, size]]
    to.add(label, "under another name, segment 1 in place of 2", name="a", pieces=pieces)
    for label, key in (("name: a", "aes-32-other"), ("name: a", "rsa-2048")):
        to.add(label, f"under another name, with the key {key}", name="b", master_key=key)
    case = to.of["metadata"]
    false = case.sealed(case.fields.replace("len=1000", "len=999"))
    what = "under another name, a false length"
    to.add(case.label, what, name="a", envelope=false, mac_fits=True)


def refuse_wrong_names(to: Refusals) -> None:
    """The name field is made in another way than the page says, and the mac fits."""

    def add(label: str, what: str, field: bytes) -> None:
        case = to.of[label]
        mine = to_base64(reader.parse(case.headers)["name"])
        envelope = case.sealed(case.fields.replace(mine, to_base64(field)))
        what = f"name field {what}"
        to.add(label, what, envelope=envelope, mac_fits=True, is_read_renamed=True)

    def by(key: bytes, name: bytes) -> bytes:
        return hmac.digest(key, name, "sha256")

    label = "name: Chinese"
    case = to.of[label]
    name, key = case.name.encode(), reader.hkdf(case.data_key, b"name")
    add(label, "of the last 16 bytes", by(key, name)[16:])
    for what, wrong in {
        "data key": case.data_key,
        "envelope key": reader.hkdf(case.data_key, b"envelope"),
        "content key": reader.hkdf(case.data_key, b"content"),
        "master key": MASTER_KEYS["aes-32"],
        "name key of the master key": reader.hkdf(MASTER_KEYS["aes-32"], b"name"),
    }.items():
        add(label, f"under the {what}", by(wrong, name)[:16])
    for what, wrong in {
        "a slash before it": b"/" + name,
        "its length before it": reader.pack(name),
        "a zero behind it": name + b"\x00",
        "the bytes of UTF-16": case.name.encode("utf-16-le"),
        "the bytes of GBK": case.name.encode("gbk"),
        "percent signs": quote(case.name).encode(),
        "a bucket before it": b"bucket-1250000000/" + name,
    }.items():
        add(label, f"with {what}", by(key, wrong)[:16])
    add(label, "of SHA-256 alone", hashlib.sha256(name).digest()[:16])
    add(label, "of zeros", bytes(16))
    for label, wrong in (("name: slash a", "a"), ("name: two slashes a", "a"), ("name: a", "/a"),
                         ("name: decomposed", "é/Å.txt"), ("name: a slash", "a")):  # fmt: skip
        right = unicodedata.normalize("NFC", wrong)
        add(label, f"of {wrong!r}", reader.compute_name(to.of[label].data_key, right))


def refuse_mixed(to: Refusals) -> None:
    """Old and new headers of an object that was copied or wrapped anew."""
    case = to.of["metadata"]
    master_key, label = MASTER_KEYS[case.master_key], case.label
    copied = reader.change(case.headers, case.name, master_key, new_name="copy/2024.tar")
    edited = reader.change(
        case.headers, case.name, master_key, metadata=case.metadata | {"x-cos-meta-a": "2"}
    )
    new = reader.change(
        case.headers, case.name, master_key, new_master_key=MASTER_KEYS["aes-16"],
        random=Stream("rewrapped"),
    )  # fmt: skip
    to.add(label, "a copy in its place", headers=copied, is_read_renamed=True)
    to.add(label, "in the place of a copy", name="copy/2024.tar", is_read_renamed=True)
    to.add(label, "its envelope on a copy of other metadata", headers=edited | {
        ENVELOPE: case.envelope
    })  # fmt: skip
    to.add(label, "the envelope of a copy of other metadata", envelope=edited[ENVELOPE])
    to.add(label, "wrapped anew, read with the old master key", headers=new)
    to.add(label, "not wrapped anew, read with the new master key", master_key="aes-16")
    mine, theirs = (reader.parse(each) for each in (case.headers, new))
    mixed = new[ENVELOPE].replace(to_base64(theirs["mac"]), to_base64(mine["mac"]))
    to.add(label, "wrapped anew, the old mac", envelope=mixed, master_key="aes-16")
    mixed = copied[ENVELOPE].replace(to_base64(reader.parse(copied)["mac"]), to_base64(mine["mac"]))
    to.add(label, "the name field of a copy", envelope=mixed)
    what = "the name field of a copy, in the place of the copy"
    to.add(label, what, envelope=mixed, name="copy/2024.tar")


def refuse_keys(to: Refusals) -> None:
    for label, key in (
        ("1 bytes", "aes-32-other"),
        ("1 bytes", "aes-16"),
        ("1 bytes", "rsa-2048"),
        ("master key rsa-2048", "rsa-2048-other"),
        ("master key rsa-2048", "aes-32"),
        ("master key aes-16", "aes-32"),
    ):
        to.add(label, f"with the master key {key}", master_key=key)
        master = MASTER_KEYS[key]
        wrap, kid = reader.identify(master)
        forged = re.sub(r";wrap=[^;]*;kid=[^;]*", f";wrap={wrap};kid={kid}", to.of[label].envelope)
        what = f"with the master key {key}, its kid written into the envelope"
        to.add(label, what, master_key=key, envelope=forged)


def refuse_contents(to: Refusals) -> None:
    for label in (
        "0 bytes", "1 bytes", "65536 bytes", "131072 bytes", "131072 bytes, empty last segment",
        "200000 bytes",
    ):  # fmt: skip
        for each in (label, f"{label}, length unknown"):
            refuse_cuts(to, each)
    for label in ("200000 bytes", "200000 bytes, length unknown"):
        refuse_changes(to, label)
    refuse_wrong_writers(to)


def refuse_cuts(to: Refusals, label: str) -> None:
    size = len(to.of[label].ciphertext)
    edges = range(0, size + 1, WIRE)
    cuts = {edge + by for edge in edges for by in (-TAG, -1, 0, 1, TAG - 1, TAG, TAG + 1)}
    cuts |= {size - 1, size - TAG, size - TAG - 1}
    for cut in sorted(cut for cut in cuts if 0 <= cut < size):
        to.add(label, f"cut to {cut} bytes", pieces=[[label, 0, cut]])
    whole = [label, 0, size]
    for more in (1, TAG - 1, TAG, TAG + 1):
        to.add(label, f"{more} zeros behind it", pieces=[whole, to_base64(bytes(more))])
    to.add(label, "its last 16 bytes twice", pieces=[whole, [label, size - TAG, size]])
    to.add(label, "the empty object behind it", pieces=[whole, ["0 bytes", 0, TAG]])
    empty = "16 bytes" if label.startswith("0 bytes") else "0 bytes"
    size = len(to.of[empty].ciphertext)
    to.add(label, "another object in its place", pieces=[[empty, 0, size]])


def refuse_changes(to: Refusals, label: str) -> None:
    """Three whole segments and a last one of 3,392 bytes, changed without a key."""
    size = len(to.of[label].ciphertext)
    first, second, third = ([label, index * WIRE, (index + 1) * WIRE] for index in range(3))
    last = [label, 3 * WIRE, size]
    other = label.replace("bytes", "bytes, another version")
    orders = {
        "segments 0 and 1 exchanged": [second, first, third, last],
        "segments 1 and 2 exchanged": [first, third, second, last],
        "segment 0 twice": [first, first, third, last],
        "segment 1 left out": [first, third, last],
        "segment 0 left out": [second, third, last],
        "segment 1 put in twice": [first, second, second, third, last],
        "the last segment first": [last, first, second, third],
        "only the last segment": [last],
        "the last segment twice": [first, second, third, last, last],
        "a last segment in the middle": [first, second, last, third],
        "ended early by segment 2 as it is": [first, second, third],
        "ended early by the last segment": [first, second, last],
        "ended early by the tag of segment 1": [first, second, [label, 2 * WIRE - TAG, 2 * WIRE]],
        "ended early by 16 zeros": [first, second, to_base64(bytes(TAG))],
        "ended early by an empty object": [first, second, ["0 bytes", 0, TAG]],
        "ended early by the empty last segment of another object": [
            first, second,
            ["131072 bytes, empty last segment", 2 * WIRE, 2 * WIRE + TAG],
        ],
        "ended early by the last segment of an object as long": [
            first, ["131072 bytes", WIRE, 2 * WIRE]
        ],
        "continued after the last": [first, second, third, last, to_base64(bytes(TAG))],
        "the ciphertext of another version": [[other, 0, size]],
        "segment 0 of another version": [[other, 0, WIRE], second, third, last],
        "segment 1 of another version": [first, [other, WIRE, 2 * WIRE], third, last],
        "the last segment of another version": [first, second, third, [other, 3 * WIRE, size]],
        "the ciphertext of another, shorter object": [["131072 bytes", 0, 2 * WIRE]],
        "the plaintext itself": [to_base64(b"x" * 500)],
    }  # fmt: skip
    for what, pieces in orders.items():
        to.add(label, what, pieces=pieces)
    for at in (0, SEGMENT - 1, SEGMENT, WIRE - 1, WIRE, 2 * WIRE + 30000, 3 * WIRE, size - 17,
               size - TAG, size - 1):  # fmt: skip
        flipped = to_base64(bytes([to.of[label].ciphertext[at] ^ 0x80]))
        pieces = [[label, 0, at], flipped, [label, at + 1, size]]
        to.add(label, f"a bit flipped at {at}", pieces=pieces)


def refuse_wrong_writers(to: Refusals) -> None:
    """Made with the keys, by a writer that numbers or marks its segments otherwise."""
    label = "1 bytes"
    case = to.of[label]

    def one(what: str, nonce: bytes, additional: bytes = b"", key: bytes | None = None) -> None:
        key = reader.hkdf(case.data_key, b"content") if key is None else key
        cipher = AES.new(key, AES.MODE_GCM, nonce=nonce).update(additional)
        sealed = b"".join(cipher.encrypt_and_digest(case.plaintext))
        to.add(label, what, pieces=[to_base64(sealed)], mac_fits=True)

    right = bytes(11) + b"\x01"
    one("the last segment not marked", bytes(12))
    one("the last segment marked with ff", bytes(11) + b"\xff")
    one("the mark in front", b"\x01" + bytes(11))
    one("numbered from 1", bytes(10) + b"\x01\x01")
    one("with additional data", right, ENVELOPE.encode())
    one("under the data key", right, key=case.data_key)
    one("under the envelope key", right, key=reader.hkdf(case.data_key, b"envelope"))
    label = "131072 bytes, empty last segment"
    data_key, size = to.of[label].data_key, 2 * WIRE

    def end(what: str, sealed: bytes) -> None:
        to.add(label, what, pieces=[[label, 0, size], to_base64(sealed)], mac_fits=True)

    end("the last segment not marked", reader.seal_segment(data_key, 2, False, b""))
    end("the last segment numbered 1", reader.seal_segment(data_key, 1, True, b""))
    end("the last segment numbered 3", reader.seal_segment(data_key, 3, True, b""))
    nonce = b"\x02" + bytes(10) + b"\x01"
    little = AES.new(reader.hkdf(data_key, b"content"), AES.MODE_GCM, nonce=nonce)
    end("segments numbered from the little end", b"".join(little.encrypt_and_digest(b"")))
    label = "16 bytes"
    sealed = reader.seal_segment(to.of[label].data_key, 0, True, to.of[label].plaintext)
    to.add(label, "a tag of 12 bytes", pieces=[to_base64(sealed[:-4])], mac_fits=True)
    to.add(label, "no tag", pieces=[to_base64(sealed[:-TAG])], mac_fits=True)


def generate() -> dict:
    of = {case.label: case for case in reads()}
    to = Refusals(of)
    for refuse in (
        refuse_envelopes,
        refuse_forms,
        refuse_wraps,
        refuse_short_data_keys,
        refuse_metadata,
        refuse_names,
        refuse_keys,
        refuse_contents,
    ):
        refuse(to)
    keys = {
        label: {"base64": to_base64(key)}
        if isinstance(key, bytes)
        else {"pem": key.export_key(pkcs=8).decode()}
        for label, key in MASTER_KEYS.items()
    }
    return {
        "about": ABOUT,
        "unit": to_base64(UNIT),
        "master_keys": keys,
        "read": [case.as_json() for case in of.values()],
        "read_too": list(other_views(of)),
        "renamed": to.renamed,
        "refused": to.cases,
    }


def check(vectors: dict) -> None:
    """Read what is to be read, be refused the rest, of the file alone."""
    keys: dict[str, reader.MasterKey] = {
        label: RSA.import_key(key["pem"]) if "pem" in key else base64.b64decode(key["base64"])
        for label, key in vectors["master_keys"].items()
    }
    bases = {case["id"]: case for case in vectors["read"]}
    contents = {}
    assert base64.b64decode(vectors["unit"]) == UNIT
    for case in vectors["read"]:
        plaintext, data_key = plaintext_of(case), bytes.fromhex(case["data_key"])
        written_again = seal_again(case, data_key, keys)
        assert case["headers"] == written_again, case["id"]
        assert case.items() >= describe_keys(case["headers"], data_key).items(), case["id"]
        ciphertext = reader.seal_content(plaintext, data_key, empty_last=case["empty_last"])
        assert describe(ciphertext) == case["ciphertext"], case["id"]
        contents[case["id"]] = ciphertext
    for case in vectors["read"] + vectors["read_too"]:
        base = bases[case.get("of", case["id"])]
        seen = base | case
        given = contents[base["id"]], seen["headers"], seen["name"], keys[seen["master_key"]]
        for renamed in (False, True):
            plaintext = reader.open_object(*given, renamed=renamed)
            assert plaintext == plaintext_of(base), case["id"]
    for case in vectors["renamed"] + vectors["refused"]:
        first, second = (
            outcome(case, bases[case["of"]], contents, keys, renamed=renamed)
            for renamed in (False, True)
        )
        assert case.items() >= first.items(), case["id"]
        if case in vectors["renamed"]:
            assert (first["stage"], second["stage"]) == ("name", None), case["id"]
        else:
            assert None not in (first["stage"], second["stage"]), case["id"]
            assert case.get("if_renamed", first) == second, case["id"]


def seal_again(case: dict, data_key: bytes, keys: dict[str, reader.MasterKey]) -> dict:
    """The headers, out of the data key and the nonce; what is wrapped by RSA is taken over."""
    master_key, wrapped = keys[case["master_key"]], reader.parse(case["headers"])["key"]
    if "wrap_nonce" in case:
        nonce = bytes.fromhex(case["wrap_nonce"])
        wrapped = reader.wrap(data_key, master_key, lambda size: nonce)
    method, kid = reader.identify(master_key)
    length = len(plaintext_of(case)) if case["length_known"] else None
    fields = reader.write_fields(
        data_key, length=length, name=case["name"], wrap=method, kid=kid, key=wrapped
    )
    return reader.finish(data_key, fields, case["metadata"])


def written(vectors: dict) -> str:
    """JSON with one case in a line."""
    parts = []
    for key, value in vectors.items():
        if isinstance(value, str):
            parts.append(f"{json.dumps(key)}: {json.dumps(value)}")
            continue
        lines = value.items() if isinstance(value, dict) else value
        rows = [
            f"{json.dumps(line[0])}: {json.dumps(line[1])}"
            if isinstance(value, dict)
            else json.dumps(line, ensure_ascii=False)
            for line in lines
        ]
        left, right = "{}" if isinstance(value, dict) else "[]"
        parts.append(f"{json.dumps(key)}: {left}\n" + ",\n".join(rows) + f"\n{right}")
    return "{\n" + ",\n".join(parts) + "\n}\n"


def main() -> None:
    if "--check" not in sys.argv[1:]:
        sys.stdout.buffer.write(written(generate()).encode())
        return
    text = FILE.read_bytes()
    vectors = json.loads(text)
    check(vectors)
    assert text == written(generate()).encode(), "not what the generator makes"
    counts = ", ".join(f"{len(vectors[key])} {key}" for key in LISTS)
    sys.stdout.write(f"{counts}; {len(text)} bytes\n")
