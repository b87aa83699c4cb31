"""Each verb does what its name says."""

from __future__ import annotations

import re
import urllib.request

BUCKET = "examplebucket-1250000000"


def test_every_verb_works_over_a_local_directory(bare_shell, tmp_path):
    """With --local DIR all verbs work without an account, and DIR keeps the objects."""
    here = ("--local", tmp_path / "store")
    source, copy = tmp_path / "a.txt", tmp_path / "copy.txt"
    source.write_bytes(b"some text\n")

    assert bare_shell("cp", source, f"cos://{BUCKET}/", *here).code == 0
    assert bare_shell("cat", f"cos://{BUCKET}/a.txt", *here).out == "some text\n"
    assert bare_shell("cp", f"cos://{BUCKET}/a.txt", copy, *here).code == 0
    assert copy.read_bytes() == b"some text\n"
    assert "a.txt" in bare_shell("ls", f"cos://{BUCKET}", *here).out
    assert "Content-Length\t10" in bare_shell("stat", f"cos://{BUCKET}/a.txt", *here).out
    assert bare_shell("presign", f"cos://{BUCKET}/a.txt", *here).out.startswith("http://127.0.0.1:")
    assert bare_shell("mb", "cos://second-1250000000", *here).code == 0
    assert bare_shell("rm", f"cos://{BUCKET}/a.txt", *here).code == 0
    assert bare_shell("ls", f"cos://{BUCKET}", *here).out == ""
    assert [line.split("\t")[2] for line in bare_shell("ls", *here).lines] == [
        BUCKET,
        "second-1250000000",
    ]


def test_ls_shows_one_level(shell, server, bucket):
    """Without -r, what lies deeper is shown as a directory, sizes and times beside the rest."""
    server.put_all(bucket, {"a.txt": b"12345", "b/c.txt": b"", "b/d/e.txt": b""})

    outcome = shell("ls", f"cos://{bucket}")

    assert [line.split() for line in outcome.lines][1] == ["-", "b/"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ +5  a\.txt", outcome.lines[0])
    assert [line.split()[-1] for line in shell("ls", f"cos://{bucket}/b/").lines] == [
        "b/c.txt",
        "b/d/",
    ]


def test_ls_shows_everything_below(shell, server, bucket):
    """With -r every object is shown, more than one page of them as well."""
    keys = {f"{number:04}.txt": b"" for number in range(1100)}
    server.put_all(bucket, keys)

    recursive = shell("ls", "-r", f"cos://{bucket}")
    level = shell("ls", f"cos://{bucket}")

    assert [line.split()[-1] for line in recursive.lines] == sorted(keys)
    assert recursive.out == level.out


def test_ls_of_nothing_fails(shell, bucket):
    """A prefix that no key has is an error, an empty bucket is not."""
    assert shell("ls", f"cos://{bucket}").code == 0
    outcome = shell("ls", f"cos://{bucket}/no/such")
    assert (outcome.code, len(outcome.complaints)) == (1, 1)


def test_ls_makes_control_characters_harmless(shell, server, bucket):
    """A key cannot send commands to the terminal."""
    server.put_all(bucket, {"a\x1b[31mred\u202e": b""})

    assert shell("ls", f"cos://{bucket}").lines[0].endswith(r"a\x1b[31mred\u202e")


def test_ls_shows_unicode(shell, server, bucket):
    """Names in any script are shown as they are."""
    server.put_all(bucket, {"图片/é.txt": b""})

    assert shell("ls", "-r", f"cos://{bucket}").lines[0].endswith("图片/é.txt")


def test_rm_recursive_deletes_what_is_below_and_nothing_else(shell, server, bucket):
    """``rm -r`` of a directory leaves names alone that only begin like it."""
    many = {f"dir/{number}": b"" for number in range(1005)}
    server.put_all(bucket, {**many, "dir.txt": b"", "dir": b"", "dir/odd\x01key": b""})

    assert shell("rm", "-r", f"cos://{bucket}/dir").code == 0

    left = shell("ls", "-r", f"cos://{bucket}").lines
    assert [line.split()[-1] for line in left] == ["dir", "dir.txt"]


def test_rm_reports_each_key_that_stays(shell, healthy, bucket):
    """Keys that COS would not delete are named, each with its cause, and the exit code tells."""
    healthy.put_all(bucket, {"a": b"", "b": b"", "c": b""})
    refusals = "".join(
        f"<Error><Key>{key}</Key><Code>AccessDenied</Code><Message>no</Message></Error>"
        for key in "ab"
    )
    body = f"<DeleteResult>{refusals}</DeleteResult>"
    healthy.emulator.fail("DeleteObjects", status=200, body=body)

    outcome = shell("rm", "-r", f"cos://{bucket}", "--yes")

    assert outcome.code == 1
    assert f"aiocos: cos://{bucket}/a: AccessDenied: no" in outcome.complaints
    assert f"aiocos: cos://{bucket}/b: AccessDenied: no" in outcome.complaints


def test_stat_of_object_and_bucket(shell, server, bucket):
    """``stat`` shows size, type and checksum of an object, and the region of a bucket."""
    server.put(bucket, a=b"12345")

    shown = dict(line.split("\t") for line in shell("stat", f"cos://{bucket}/a").lines)

    assert shown["Name"] == f"cos://{bucket}/a"
    assert shown["Content-Length"] == "5"
    assert shown["ETag"] == '"827ccb0eea8a706c4c34a16891f84e7b"'
    assert "ap-guangzhou" in shell("stat", f"cos://{bucket}").out


def test_cat_writes_the_bytes_as_they_are(shell, server, bucket, capfdbinary):
    """``cat`` changes no byte."""
    from aiocos.cli import main

    content = bytes(range(256)) * 3000
    server.put(bucket, a=content)

    assert main(["cat", f"cos://{bucket}/a"]) == 0
    assert capfdbinary.readouterr().out == content


def test_presigned_address_expires_when_told(shell, server, bucket):
    """``presign --expires`` says for how long, ``--method`` for what."""
    outcome = shell("presign", f"cos://{bucket}/a", "--expires", 60, "--method", "PUT")

    begin, end = re.findall(r"q-sign-time=(\d+)%3B(\d+)", outcome.out)[0]
    assert 60 <= int(end) - int(begin) < 200
    assert server.emulator.secret_key not in outcome.out


def test_presigned_address_works_for_anyone(shell, server, bucket):
    """Whoever has the address gets the object, without credentials."""
    server.put_all(bucket, {"a b/é+.txt": b"text"})

    outcome = shell("presign", f"cos://{bucket}/a b/é+.txt")

    with urllib.request.urlopen(outcome.out.strip(), timeout=10) as answer:
        assert answer.read() == b"text"


def test_mb_twice_fails(shell, server):
    """A bucket that is there already cannot be made again."""
    assert shell("mb", "cos://made-1250000000").code == 0
    assert shell("mb", "cos://made-1250000000").code == 1


def test_options_win_over_the_environment(shell, server, monkeypatch):
    """``--endpoint`` is used even if COS_ENDPOINT says something else."""
    monkeypatch.setenv("COS_ENDPOINT", "127.0.0.1:1")

    assert shell("ls", "--endpoint", server.emulator.url).code == 0


def test_tencentcloud_variables_are_understood(shell, server, monkeypatch):
    """Credentials may be set under the names that Tencent's other tools use."""
    monkeypatch.delenv("COS_SECRET_ID")
    monkeypatch.delenv("COS_SECRET_KEY")
    assert shell("ls").code == 2

    monkeypatch.setenv("TENCENTCLOUD_SECRET_ID", server.emulator.secret_id)
    monkeypatch.setenv("TENCENTCLOUD_SECRET_KEY", server.emulator.secret_key)
    assert shell("ls").code == 0


def test_temporary_credentials_are_understood(shell, server, monkeypatch):
    """A token in COS_TOKEN goes with the key pair."""
    server.emulator.add_credentials("temporary-id", "temporary-key", token="its-token")
    monkeypatch.setenv("COS_SECRET_ID", "temporary-id")
    monkeypatch.setenv("COS_SECRET_KEY", "temporary-key")
    assert shell("ls").code == 1

    monkeypatch.setenv("COS_TOKEN", "its-token")
    assert shell("ls").code == 0
