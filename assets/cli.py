"""The command line: the same graph as the Dagster UI, without the browser."""

import signal
import sys
from types import FrameType

import typer

from assets.commands import coming, giving, looking, making, people, planning  # noqa: F401 - each tells the app its own
from assets.commands.common import app
from assets.settings import SettingsError
from pipeline.storage.artifacts import NotMadeError
from pipeline.storage.locks import BusyError
from pipeline.visible import spelt


def main() -> None:
    """Run the command; what a user can mend ends as one line that says how."""
    signal.signal(signal.SIGTERM, _terminated)
    try:
        sys.exit(app(standalone_mode=False))  # what `typer.Exit` told; None where nothing did
    except (typer.Abort, KeyboardInterrupt):
        sys.exit("stopped; the next run goes on where this one was")
    except (SettingsError, NotMadeError, BusyError, OSError, ValueError, LookupError, RuntimeError) as error:
        told = spelt(str(error), kept="\n")  # it may quote a crawl
        sys.exit(f"winnow: {told}")


def _terminated(signal_number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - the signature is Python's
    raise KeyboardInterrupt


if __name__ == "__main__":
    main()
