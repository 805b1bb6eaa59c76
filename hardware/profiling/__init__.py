"""Measuring networks on the device of this machine, and keeping the predictor that is fitted to it."""
