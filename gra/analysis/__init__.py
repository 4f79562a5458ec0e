"""What a data set is like: how varied, how far from its seeds, how difficult, and how its reviewers judge (gra analyze DIR)."""
