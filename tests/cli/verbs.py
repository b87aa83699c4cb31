"""Every verb, as data: a verb joins the tests of what all verbs promise by adding a line.

``words`` may name {bucket}, a bucket that holds ``a.txt``, ``dir/b.txt``,
``dir/c/d.txt``, ``rows`` in CSV, for restore an archived ``cold/a``, and a forgotten upload;
{file} and {dir}, local ones; and {new}, a path or part of a name that is not there yet.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Case:
    """One command line of a verb, which works."""

    words: str
    changes: bool = False
    """Whether it writes somewhere: it then has --dry-run."""
    sends: bool = True
    """Whether it asks COS for anything, so that what is wrong there is seen."""
    needs_bucket: bool = True
    """Whether it is about a bucket, which may be missing."""
    prints: bool = True
    """Whether it has something to say on stdout, with --json."""
    is_json: bool = True
    """Whether that is JSON: ``cat`` gives the bytes."""
    ends: int = 0
    """Its exit code."""
    is_endless: bool = False
    """Whether it runs until Ctrl-C."""
    is_local: bool = True
    """Whether it takes --local and --endpoint."""
    is_kin: bool = False
    """Whether another line stands for it where COS refuses all in the same way."""

    def __str__(self) -> str:
        return self.words

    def of(self, verb: str) -> bool:
        """Whether it is a command line of this verb."""
        return f"{self.words} ".startswith(f"{verb} ")


CASES = [
    Case("ls", needs_bucket=False),
    Case("ls cos://{bucket}"),
    Case("ls -r cos://{bucket}/dir", is_kin=True),
    Case("ls --versions --summary cos://{bucket}", is_kin=True),
    Case("du cos://{bucket} --depth 2"),
    Case("hash cos://{bucket}/a.txt {file}", ends=3),
    Case("hash cos://{bucket}/a.txt cos://{bucket}/a.txt --read", is_kin=True),
    Case("stat cos://{bucket}", is_kin=True),
    Case("stat cos://{bucket}/a.txt"),
    Case("cat cos://{bucket}/a.txt", is_json=False),
    Case("presign cos://{bucket}/a.txt", sends=False),
    Case("cp {file} cos://{bucket}/new/", changes=True),
    Case("cp cos://{bucket}/a.txt {new}", changes=True),
    Case("cp cos://{bucket}/a.txt cos://{bucket}/copy.txt", changes=True),
    Case("cp -r {dir} cos://{bucket}/new", changes=True),
    Case("cp -r cos://{bucket} {new}", changes=True, is_kin=True),
    Case("cp -r cos://{bucket}/dir cos://{bucket}/copies", changes=True, is_kin=True),
    Case("mv {file} cos://{bucket}/new/", changes=True, is_kin=True),
    Case("mv cos://{bucket}/a.txt {new}", changes=True),
    Case("mv cos://{bucket}/a.txt cos://{bucket}/moved.txt", changes=True, is_kin=True),
    Case("mv -r {dir} cos://{bucket}/new", changes=True, is_kin=True),
    Case("mv -r cos://{bucket}/dir {new}", changes=True, is_kin=True),
    Case("mv -r cos://{bucket}/dir cos://{bucket}/moved", changes=True, is_kin=True),
    Case("sync {dir} cos://{bucket}/new", changes=True),
    Case("sync cos://{bucket} {new}", changes=True, is_kin=True),
    Case("sync cos://{bucket}/dir cos://{bucket}/copies --delete", changes=True, is_kin=True),
    Case("rm cos://{bucket}/a.txt", changes=True),
    Case("rm --versions cos://{bucket}/a.txt", changes=True, is_kin=True),
    Case("rm -r cos://{bucket}/dir", changes=True),
    Case("mb cos://made-{bucket}", changes=True, needs_bucket=False),
    Case("rb cos://empty-{bucket}", changes=True),
    Case("rb --force --yes cos://{bucket}", changes=True),
    Case("restore cos://{bucket}/cold/a", changes=True),
    Case("restore -r cos://{bucket}/cold --days 3 --tier Bulk", changes=True),
    Case("select --input csv cos://{bucket}/rows 'select * from COSObject s'", is_json=False),
    Case("uploads ls cos://{bucket}"),
    Case("uploads gc --older-than 7d cos://{bucket}", changes=True),
    Case("journal ls", sends=False, needs_bucket=False, is_local=False),
    Case("journal clean --all", changes=True, sends=False, needs_bucket=False, is_local=False),
    Case("doctor", needs_bucket=False),
    Case("doctor cos://{bucket}/a.txt"),
    Case("completion bash", sends=False, needs_bucket=False, is_local=False),
    Case("credentials explain", sends=False, is_local=False),
    Case("emulator", sends=False, is_endless=True, is_local=False),
]
