"""How fast a network is applied here, asked of a process of its own: no torch in this one, as where a run begins."""

import json
import subprocess
import sys
from dataclasses import dataclass


@dataclass(frozen=True)
class Speed:
    """What the process told."""

    device: str
    devices: int
    features: int
    parameters: int
    flops: int
    images_per_s: float


def measure(network: str, classes: int, image_size: int, seconds: float) -> Speed:
    """Ask a process of its own.

    Raises:
        RuntimeError: it failed; its last lines are in the message.
    """
    asked = json.dumps({"network": network, "classes": classes, "image_size": image_size, "seconds": seconds})
    done = subprocess.run(
        [sys.executable, "-m", "models.speed_worker", asked], capture_output=True, text=True, check=False, timeout=600
    )
    if done.returncode:
        raise RuntimeError(f"the speed of {network} could not be measured:\n{done.stderr[-2000:]}")
    return Speed(**json.loads(done.stdout.splitlines()[-1]))
