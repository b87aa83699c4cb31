"""A transfer can be watched: as a bar of rich or tqdm, and as lines about what happened."""

from __future__ import annotations

import asyncio
import io
import subprocess
import sys
from collections.abc import AsyncIterator
from functools import partial

import pytest
from rich.console import Console
from tqdm import tqdm

from aiocos import CosConfig, CosS3Client, ThrottledError, TransferError, TransportError
from aiocos.errors import ServiceFailure
from aiocos.transfer.manager import TransferConfig
from aiocos.transfer.progress import TransferEvent
from aiocos.transfer.progress_bars import (
    RichBars,
    rich_progress,
    show_events,
    tqdm_callback,
    tqdm_progress,
)
from aiocos.units import MIB
from tests.conftest import BUCKET, QUICK

HOSTILE = "a[/b]\x1b[31m\r\n\u202e.bin"
SHOWN = "a[/b]\\x1b[31m\\r\\n\\u202e.bin"


class Paper:
    """A terminal of 120 columns, and what was written on it."""

    def __init__(self, *, is_terminal: bool = False) -> None:
        self.file = io.StringIO()
        self.now = 1000.0
        self.console = Console(
            file=self.file,
            width=120,
            force_terminal=is_terminal,
            color_system=None,
            get_time=lambda: self.now,
        )

    @property
    def text(self) -> str:
        return self.file.getvalue()

    @property
    def lines(self) -> list[str]:
        return [" ".join(line.split()) for line in self.text.splitlines()]


# -- rich ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("calls", "seen"),
    [
        ([(0, 10 * MIB), (3 * MIB, 10 * MIB), (10 * MIB, 10 * MIB)], "10.0/10.0 MiB"),
        ([(0, 10 * MIB), (3 * MIB, 10 * MIB)], "3.0/10.0 MiB"),
        ([(0, 10 * MIB), (5 * MIB, 10 * MIB), (2 * MIB, 10 * MIB)], "2.0/10.0 MiB"),
        ([(0, 1000), (1000, 1000), (200, 1000)], "200/1,000 bytes"),
        ([(0, 1000), (1000, 1000), (200, 1000), (1000, 1000)], "1,000/1,000 bytes"),
        ([(0, 0), (0, 0)], "0/0 bytes"),
        ([(0, None), (700, None)], "700/? bytes"),
        ([(0, None), (700, None), (700, 700)], "700/700 bytes"),
        ([(0, 300), (300, 300), (500, 300)], "500/500 bytes"),
        ([], "0/? bytes"),
    ],
)
def test_the_bar_stands_where_the_transfer_is(calls, seen):
    """The bar ends where the transfer ended: also behind a step back, empty, or a stream."""
    paper = Paper()
    with rich_progress("big.bin", console=paper.console) as callback:
        for consumed, total in calls:
            callback(consumed, total)
    (line,) = paper.lines
    assert line.startswith("big.bin ")
    assert f" {seen} " in line


def test_a_bar_that_was_full_goes_on():
    """When all was sent and is sent again, the bar's clock runs again."""
    paper = Paper()
    with rich_progress("big.bin", console=paper.console) as callback:
        callback(0, 100)
        paper.now += 10
        callback(100, 100)
        callback(0, 100)
        paper.now += 65
        callback(100, 100)
    assert paper.lines[-1].endswith("01:05")


def test_names_do_nothing_to_the_terminal():
    """A name with brackets, escapes or line breaks stands in the bar as text, on one line."""
    paper = Paper()
    with rich_progress(HOSTILE, console=paper.console) as callback:
        callback(1, 1)
    (line,) = paper.lines
    assert line.startswith(f"{SHOWN} ")


async def test_several_transfers_at_once():
    """Transfers that run at the same time, in threads, have a bar each."""
    paper = Paper()
    with RichBars(console=paper.console) as bars:
        callbacks = {number: bars.add(f"file {number}") for number in range(4)}

        def transfer(number: int) -> None:
            for done in range(0, number * 100 + 1, 10):
                callbacks[number](done, number * 100)

        async with asyncio.TaskGroup() as group:
            for number in callbacks:
                group.create_task(asyncio.to_thread(transfer, number))
    for number, line in enumerate(paper.lines):
        assert line.startswith(f"file {number} ")
        assert f" {number * 100}/{number * 100} bytes" in line
    assert len(paper.lines) == 4


def test_a_transient_bar_disappears():
    """A transient bar is wiped off the terminal in the end; another one stays."""
    wiped, kept = Paper(is_terminal=True), Paper(is_terminal=True)
    for paper, transient in ((wiped, True), (kept, False)):
        with rich_progress("a", console=paper.console, transient=transient) as callback:
            callback(7, 7)
    erase_line = "\x1b[2K"
    assert erase_line in wiped.text[wiped.text.rindex("7/7 bytes") :]
    assert erase_line not in kept.text[kept.text.rindex("7/7 bytes") :]


def test_a_failed_transfer_ends_the_bar():
    """A failure goes through the bar, which stops where it was and gives the cursor back."""
    paper = Paper(is_terminal=True)

    def transfer():
        with rich_progress("a", console=paper.console) as callback:
            callback(3, 7)
            raise OSError("the disk")

    with pytest.raises(OSError, match="the disk"):
        transfer()
    assert "3/7 bytes" in paper.text
    show_cursor = "\x1b[?25h"
    assert paper.text.endswith(show_cursor)


# -- tqdm ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("calls", "seen"),
    [
        ([(0, 10 * MIB), (10 * MIB, 10 * MIB)], "big.bin: 100%|#" + "#" * 9 + "| 10.0M/10.0M ["),
        ([(0, 10 * MIB), (5 * MIB, 10 * MIB)], "big.bin:  50%|#####     | 5.00M/10.0M ["),
        ([(0, 100), (100, 100), (20, 100)], "big.bin:  20%|##        | 20.0/100 ["),
        ([(0, 0)], "big.bin: 0.00B ["),
        ([(0, None), (2048, None)], "big.bin: 2.00kB ["),
        ([(0, None), (100, None), (100, 100)], "big.bin: 100%|##########| 100/100 ["),
        ([(0, 100), (100, 100), (200, 100)], "big.bin: 200B ["),
    ],
)
def test_the_same_with_tqdm(calls, seen):
    """tqdm's bar ends where the transfer ended, too."""
    file = io.StringIO()
    with tqdm_progress("big.bin", file=file, ascii=True) as callback:
        for consumed, total in calls:
            callback(consumed, total)
    last = file.getvalue().rstrip("\n").rpartition("\r")[2]
    assert last.startswith(seen)


def test_names_do_nothing_to_the_terminal_with_tqdm():
    """A name with escapes stands in tqdm's bar as text."""
    file = io.StringIO()
    with tqdm_progress(HOSTILE, file=file) as callback:
        callback(1, 1)
    assert f"\r{SHOWN}: 100%" in file.getvalue()
    assert "\x1b" not in file.getvalue()
    assert "\u202e" not in file.getvalue()


def test_options_of_tqdm():
    """Options go to tqdm: a bar that is switched off writes nothing."""
    file = io.StringIO()
    with tqdm_progress("big.bin", file=file, disable=True) as callback:
        callback(0, 100)
        callback(100, 100)
    assert file.getvalue() == ""


def test_a_bar_that_is_there_already():
    """A bar of one's own follows the transfer, and is left open."""
    with tqdm(file=io.StringIO(), total=None) as bar:
        callback = tqdm_callback(bar)
        callback(0, 500)
        callback(300, 500)
        assert (bar.n, bar.total) == (300, 500)
        callback(100, 500)
        callback(200, None)
        assert (bar.n, bar.total) == (200, 500)
        assert not bar.disable


# -- what is not installed -------------------------------------------------------


@pytest.mark.parametrize(
    ("package", "command", "draw"),
    [
        ("rich", r"pip install 'aiocos\[cli\]'", lambda: rich_progress("a").__enter__()),
        ("rich", r"pip install 'aiocos\[cli\]'", RichBars),
        ("tqdm", "pip install tqdm", lambda: tqdm_progress("a").__enter__()),
    ],
)
def test_a_missing_library_says_how_to_get_it(monkeypatch, package, command, draw):
    """Without rich or tqdm the error names the command that installs it."""
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ModuleNotFoundError, match=command) as caught:
        draw()
    assert caught.value.name == package


async def test_lines_need_rich(monkeypatch):
    """Lines about events are rich's as well, and say so before the first event."""
    monkeypatch.setitem(sys.modules, "rich.console", None)
    with pytest.raises(ModuleNotFoundError, match=r"aiocos\[cli\]"):
        await show_events(events())


def test_neither_library_is_loaded_unasked():
    """Importing the bars loads neither library, and works without both."""
    program = (
        "import sys; sys.modules['rich'] = sys.modules['tqdm'] = None\n"
        "import aiocos.transfer.progress_bars\n"
        "print(sorted(name for name in sys.modules if name.startswith(('rich', 'tqdm'))))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    assert done.stdout.strip() == "['rich', 'tqdm']"


# -- events ----------------------------------------------------------------------


async def events(*happened: TransferEvent) -> AsyncIterator[TransferEvent]:
    for event in happened:
        yield event


SLOW_DOWN = ThrottledError(
    ServiceFailure(
        status=503, code="SlowDown", message="Reduce\x1b[31m your\nrate.", request_id="id7"
    )
)
LINES = [
    (
        TransferEvent("retried", 0, 100, part=3, cause=TransportError("it broke"), delay_s=1.25),
        "big.bin: retrying part 3 in 1.2 s, after it broke",
    ),
    (TransferEvent("retried", 0, 100), "big.bin: retrying"),
    (
        TransferEvent("retried", 0, 100, part=1, cause=TransportError("")),
        "big.bin: retrying part 1, after TransportError",
    ),
    (
        TransferEvent("retried", 0, 100, cause=SLOW_DOWN, delay_s=60),
        r"big.bin: retrying in 60.0 s, after SlowDown (HTTP 503): "
        r"Reduce\x1b[31m your\nrate. [resource Unknown, request id7]",
    ),
    (
        TransferEvent("throttled", 0, 100, part=3, cause=SLOW_DOWN),
        "big.bin: COS asks for fewer requests: fewer parts at a time",
    ),
    (TransferEvent("waiting", 0, 100), "big.bin: waiting for another transfer of the same"),
    (
        TransferEvent("resumed", 10 * MIB, 25 * MIB),
        "big.bin: resumed: 10.0 MiB of 25.0 MiB had been done before",
    ),
    (
        TransferEvent("resumed", 1536, 3 << 30),
        "big.bin: resumed: 1.5 KiB of 3.0 GiB had been done before",
    ),
    (TransferEvent("resumed", 0, 7), "big.bin: resumed: 0 bytes of 7 bytes had been done before"),
    (TransferEvent("verified", 100, 100, verified="crc64"), "big.bin: verified by crc64"),
    (TransferEvent("verified", 100, 100), "big.bin: verified"),
]


@pytest.mark.parametrize(("event", "line"), LINES)
async def test_an_event_is_one_line(event, line):
    """What happened to a transfer is one line, whatever COS wrote in its message."""
    paper = Paper()
    await show_events(events(event), "big.bin", console=paper.console)
    assert paper.text == f"{line}\n"


async def test_plain_progress_has_no_line():
    """Begin, parts and end are the bar's matter; a hostile name stands as text."""
    paper = Paper()
    happened = [
        TransferEvent("started", 0, 10),
        TransferEvent("part", 10, 10, part=1, size=10),
        TransferEvent("verified", 10, 10, verified="md5"),
        TransferEvent("done", 10, 10),
    ]
    await show_events(events(*happened), HOSTILE, console=paper.console)
    assert paper.text == f"{SHOWN}: verified by md5\n"


async def test_a_line_without_a_name():
    """Who watches one transfer only needs no name before the lines."""
    paper = Paper()
    verified = TransferEvent("verified", 10, 10, verified="size")
    await show_events(events(verified), console=paper.console)
    assert paper.text == "verified by size\n"


async def test_lines_stand_above_the_bars():
    """Lines go above bars that are being drawn, and the bar is whole in the end."""
    paper = Paper(is_terminal=True)
    with RichBars(console=paper.console) as bars:
        callback = bars.add("big.bin")
        callback(5, 10)
        retried = TransferEvent("retried", 5, 10, part=2, cause=TransportError("cut"))
        await show_events(events(retried), "big.bin", console=bars.console)
        callback(10, 10)
    told, drawn = paper.text.index("retrying part 2, after cut"), paper.text.rindex("10/10 bytes")
    assert told < drawn


async def test_a_transfer_is_watched(emulator, tmp_path):
    """An upload that was cut, resumed and throttled shows all of it, and ends with a full bar."""
    source = tmp_path / "big.bin"
    source.write_bytes(bytes(4 * MIB))
    config, small = CosConfig(**emulator.settings()), TransferConfig(single_mib=1)
    paper = Paper()
    async with CosS3Client(config, retry=QUICK, transfers=small) as client:
        upload = partial(
            client.start_upload, BUCKET, "k", source, MAXThread=1, JournalDir=tmp_path / "journals"
        )
        emulator.fail("UploadPart", after=2, status=403)
        with pytest.raises(TransferError):
            await upload()
        emulator.heal()
        emulator.fail("UploadPart", part=4, times=1, status=503, code="SlowDown")
        with RichBars(console=paper.console) as bars:
            handle = upload(progress_callback=bars.add("big.bin"))
            async with asyncio.TaskGroup() as group:
                group.create_task(show_events(handle.events(), console=bars.console))
                await handle

    *lines, bar = paper.lines
    assert lines[0] == "resumed: 2.0 MiB of 4.0 MiB had been done before"
    assert lines[1].startswith("retrying part 4")
    assert ", after SlowDown (HTTP 503)" in lines[1]
    assert lines[2:] == [
        "COS asks for fewer requests: fewer parts at a time",
        "verified by crc64",
    ]
    assert bar.startswith("big.bin ")
    assert " 4.0/4.0 MiB " in bar


async def test_bars_and_lines_go_to_stderr(capsys):
    """Bars and lines are on stderr: what a program prints stays clean."""
    with rich_progress("a") as callback:
        callback(10, 10)
    verified = TransferEvent("verified", 10, 10, verified="crc64")
    await show_events(events(verified), "a")
    with tqdm_progress("b") as callback:
        callback(10, 10)
    out, err = capsys.readouterr()
    assert out == ""
    assert "10/10 bytes" in err
    assert "a: verified by crc64\n" in err
    assert "b: 100%" in err
