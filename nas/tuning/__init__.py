"""Trainings as trials of Ray Tune: those of a search by accuracy, and the tuning of one network's recipe."""
