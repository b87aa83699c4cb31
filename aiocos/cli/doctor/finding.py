"""What one look found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "warning", "wrong"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One check: how it is, in a sentence, and what to do about it."""

    check: str
    state: State
    told: str
    advice: str = ""
