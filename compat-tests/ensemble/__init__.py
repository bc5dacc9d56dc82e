"""Ensembles of real processes, with faults, a load whose history is known, and checkers."""
