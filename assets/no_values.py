"""Nothing passes between assets but through the store: Dagster's own way would pickle it, and unpickle it later."""

from typing import NoReturn

import dagster as dg


class NoValues(dg.IOManager):
    """In the place of Dagster's default, which pickles what an asset returns; ours return none."""

    def handle_output(self, context: dg.OutputContext, obj: object) -> NoReturn:  # noqa: ARG002 - Dagster's signature
        """Raises TypeError: an asset returned a value."""
        raise TypeError(f"{context.step_key} returned a value: publish it in the store, and return a MaterializeResult")

    def load_input(self, context: dg.InputContext) -> NoReturn:
        """Raises TypeError: an asset asked for another's value."""
        raise TypeError(f"{context.name} was asked for as a value: name it in `deps`, and read the store")
