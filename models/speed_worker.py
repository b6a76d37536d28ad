"""How fast a network is applied on this machine, and what it costs; `models.speed` starts this in a process of its own.

    python -m models.speed_worker '{"network": "resnet18", "classes": 24, "image_size": 32, "seconds": 2}'

prints one JSON object: device, devices, features, parameters, flops (of one forward pass of one image, a multiplication
and an addition counted apart) and images_per_s.
"""

import json
import sys
import time

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from models.encode import Encoder
from models.gang import join_gang
from models.networks import Classifier, build_network
from models.settings import TrainingSettings
from models.specification import ModelSpecification

FIRST_BATCH = 4  # images; the number grows until a batch takes a while


def main() -> None:
    """Measure the network named on the command line."""
    asked = json.loads(sys.argv[1])
    gang = join_gang()
    network = build_network(asked["network"], asked["classes"], 0).eval()
    told = ModelSpecification(
        settings=TrainingSettings(network=asked["network"]),
        seed=0,
        classes=asked["classes"],
        image_size=asked["image_size"],
        features=network.head.in_features,
        parameters=sum(parameter.numel() for parameter in network.parameters()),
    )
    flops = forward_flops(network, asked["image_size"])
    rate = images_per_second(Encoder(network.to(gang.device), told, gang), asked["image_size"], asked["seconds"])
    devices = torch.cuda.device_count() if gang.device.type == "cuda" else 1
    found = {"device": gang.device.type, "devices": devices, "features": told.features, "flops": flops}
    sys.stdout.write(json.dumps({**found, "parameters": told.parameters, "images_per_s": rate}) + "\n")


def forward_flops(network: Classifier, image_size: int) -> int:
    """Floating-point operations of one forward pass of one image."""
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        network(torch.zeros(1, 3, image_size, image_size))
    return int(counter.get_total_flops())


def images_per_second(encoder: Encoder, image_size: int, seconds: float) -> float:
    """How fast stored pixels become features and logits, in growing batches for about so many seconds.

    The first batch does not count: it pays for what is loaded and planned.
    """

    def apply(count: int) -> None:
        pixels = np.zeros((count, image_size, image_size, 3), np.uint8)
        encoder.apply(pixels, np.arange(count), ("features", "logits"), lambda _: None)

    apply(FIRST_BATCH)
    started, done, count = time.perf_counter(), 0, FIRST_BATCH
    while True:
        apply(count)
        done += count
        took = time.perf_counter() - started
        if 2 * took > seconds:  # the next batch takes about as long as all before it
            return done / took
        count *= 2


if __name__ == "__main__":
    main()
