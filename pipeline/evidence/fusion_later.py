"""The shares of queries that a mixture was not fitted to, by what it says of their images.

What right and wrong images look like and how many images of each class are right stays as fitted; expectation and
maximisation run over the query's share alone. Its likelihood has one peak, so that no first guess is needed, and each
query stops by itself: its share is that of its own images, whatever other queries there are.
"""

import numpy as np

from pipeline.evidence.fusion import CONVERGED, Floats, FusionSettings, Mixture, Seen, drawn_shares, log_odds, logistic


def later_shares(mixture: Mixture, seen: Seen, settings: FusionSettings) -> Floats:
    """(Q,) of the results of each query that are right, (0, 1), drawn to the share of its class.

    A class that the mixture has seen nothing of has the common distributions and the common share.

    Args:
        mixture: fitted to other images; its own queries play no part.
        seen: images of the Q queries.
        settings: those of the fit.
    """
    queries = len(seen.class_of)
    evidence = mixture.evidence(seen, slice(None)).sum(axis=1)
    towards = mixture.class_share[seen.class_of]
    every: Floats = np.bincount(seen.query, seen.weight, queries).astype(np.float64)
    share, moving = towards.copy(), np.ones(queries, np.bool_)
    for _ in range(settings.rounds):
        own = moving[seen.query]
        query = seen.query[own]
        right = logistic(log_odds(share)[query] + evidence[own]) * seen.weight[own]
        counted: Floats = np.bincount(query, right, queries).astype(np.float64)
        found = drawn_shares(counted, every, towards, mixture.strength, settings.alike)
        moved = moving & (np.abs(found - share) > CONVERGED)
        share, moving = np.where(moving, found, share), moved
        if not moving.any():
            break
    return share
