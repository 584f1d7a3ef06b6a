"""The command `gigachat-sdk`: chat, models, and an emulator of the service.

Needs the extra `cli`: `pip install 'gigachat-sdk[cli]'`.
"""

import sys


def main() -> int:
    """Run the command with the arguments of this process, and return its exit status.

    Returns:
        0 for success, 1 where the service or the way to it failed, 2 for wrong usage or settings (a missing extra among
        them), 130 after Ctrl-C, 141 where nobody reads the output any more.
    """
    try:
        from ._program import program
    except ModuleNotFoundError as error:
        if error.name != "click":
            raise
        print("error: the command line needs click: pip install 'gigachat-sdk[cli]'", file=sys.stderr)
        return 2
    try:
        program.main(prog_name="gigachat-sdk")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 0


__all__ = ["main"]
