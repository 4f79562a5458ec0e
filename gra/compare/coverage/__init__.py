"""Where the samples of data sets lie in embedding space: a map, and the share of clusters that each set covers."""
