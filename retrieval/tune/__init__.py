"""Fitting how a library is searched: weights, calibration, probe queries."""
