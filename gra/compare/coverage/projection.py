"""PURE: projects vectors to two dimensions by t-SNE (van der Maaten and Hinton 2008, JMLR 9), as the paper's Figures 5 and 6 do.

It uses t-SNE of scikit-learn, which the embedder needs anyway. UMAP would be a further dependency only for a picture,
because no number is computed from the projection.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Matrix = NDArray[np.float32]

PERPLEXITY = 30.0
STEPS = 500
WIDTH = 50  # principal components that t-SNE gets instead of the vectors, as in its authors' paper


def project(vectors: Matrix, seed: int) -> Matrix:
    """Project vectors, [n, d] -> [n, 2], with both coordinates within [0, 1]. Raises ValueError for fewer than four
    rows.

    The computation runs in one thread, because with several threads the order of additions, and so the rounding, is not
    fixed. With one thread, the same rows and seed give the same points on any number of cores.
    """
    import numpy as np
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits

    n, width = vectors.shape
    if n < 4:
        raise ValueError(f"{n} points are too few to project")
    with threadpool_limits(1):
        reduced = PCA(min(WIDTH, n, width), svd_solver="full").fit_transform(vectors)
        machine = TSNE(perplexity=min(PERPLEXITY, (n - 1) / 3), init="pca", max_iter=STEPS, random_state=seed)
        placed = np.asarray(machine.fit_transform(reduced), np.float32)
    low, high = placed.min(axis=0), placed.max(axis=0)
    found: Matrix = (placed - low) / np.maximum(high - low, 1e-12)
    return found
