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
    """Return a point in two dimensions for each vector, as an array [n, 2] with all values within [0, 1].

    The same vectors and seed give the same points on any number of cores, because the computation runs in one thread.
    With several threads, the order of additions, and so the rounding, would not be fixed. Raises ValueError for fewer
    than four vectors.
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
