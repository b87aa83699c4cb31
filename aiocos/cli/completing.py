"""The verbs about the shell: completion."""

from __future__ import annotations

from typing import Literal

from aiocos.cli.output import Output
from aiocos.cli.settings import SHOWN, Showing


async def completion(shell: Literal["bash", "zsh", "fish"], /, *, options: Showing = SHOWN) -> int:
    """Print what makes a shell complete verbs and options.

    bash: aiocos completion bash > ~/.local/share/bash-completion/completions/aiocos
    zsh: aiocos completion zsh > a directory of $fpath, as _aiocos
    fish: aiocos completion fish > ~/.config/fish/completions/aiocos.fish

    Parameters
    ----------
    shell
        Which shell.
    """
    from aiocos.cli.app import make_app  # noqa: PLC0415 - it imports this module

    # Where we know nothing better, bash completes names of files as it does elsewhere.
    script = (
        make_app()
        .generate_completion(shell=shell)
        .replace("\ncomplete -F ", "\ncomplete -o default -o bashdefault -F ")
    )
    await Output(options).record({"shell": shell, "script": script}, script.rstrip("\n"))
    return 0
