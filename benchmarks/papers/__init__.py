"""The papers' tables: what they print, and a run that trains and tests the same lines on a data set here."""
