"""Multiples of a byte."""

from typing import Final

KIB: Final = 1 << 10
MIB: Final = 1 << 20
GIB: Final = 1 << 30

PIECE: Final = 256 * KIB
"""The unit of all file and network work: larger ones cost page faults and TLS copies."""
