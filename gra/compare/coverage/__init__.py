"""Shows where the samples of data sets lie in embedding space: draws a map, and computes which fraction of the clusters
each set covers."""
