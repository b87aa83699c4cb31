"""What the README shows can be run, and the Chinese README shows the same."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from aiocos.cli.app import make_app

ROOT = Path(__file__).parent.parent
ENGLISH, CHINESE = ROOT / "README.md", ROOT / "README.zh-CN.md"
PAGES = pytest.mark.parametrize("page", [ENGLISH, CHINESE], ids=lambda page: page.name)


def blocks(page: Path, language: str) -> list[str]:
    """The blocks of code of a page, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```$", page.read_text("utf-8"), re.M | re.S)


@pytest.mark.parametrize("language", ["python", "sh", "toml"])
def test_both_languages_show_the_same_code(language: str) -> None:
    """Whoever reads Chinese is given the same commands and programs."""
    assert blocks(ENGLISH, language)
    assert blocks(CHINESE, language) == blocks(ENGLISH, language)


@pytest.mark.parametrize("block", blocks(ENGLISH, "python"))
def test_programs_are_python(block: str) -> None:
    """Every program of the README can at least be compiled."""
    compile(block, "README.md", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)


@PAGES
def test_links_lead_somewhere(page: Path) -> None:
    """Every page and picture that the README points to is there."""
    links = re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text("utf-8"))
    missing = [link for link in links if "://" not in link and not (ROOT / link).exists()]
    assert len(links) > 5
    assert not missing


@PAGES
def test_every_verb_is_named(page: Path) -> None:
    """The README knows every verb of the command line, and the command line every verb shown."""
    text = page.read_text("utf-8")
    known = {name for name in make_app() if not name.startswith("-")}
    for verb in known:
        assert re.search(rf"`{verb}[` ]", text), verb
    shown = re.findall(r"^aiocos ([a-z]+)", "\n".join(blocks(page, "sh")), re.M)
    assert len(shown) > 5
    assert set(shown) <= known


@PAGES
def test_examples_are_there(page: Path) -> None:
    """Every example that is named can be opened."""
    named = set(re.findall(r"`(examples/[a-z_]+\.py)`", page.read_text("utf-8")))
    assert len(named) > 3
    assert all((ROOT / name).is_file() for name in named)
