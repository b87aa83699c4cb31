"""``doctor``: what stands between this machine and a bucket, in sentences.

In: a configuration, and a place in COS or none. Out: Findings, one after the other, each
with what to do about it. Nothing is changed, unless a probe is asked for.
"""

from aiocos.cli.doctor.examination import examine
from aiocos.cli.doctor.finding import Finding, State

__all__ = ["Finding", "State", "examine"]
