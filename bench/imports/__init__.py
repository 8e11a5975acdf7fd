"""Results of other load generators become runs that can be compared, and say what is unknown."""
