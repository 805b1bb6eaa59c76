"""Predictors fitted on measured networks: a roofline over classes of operators, and what is left of it."""
