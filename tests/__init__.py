"""Tests of swarmkit: without an engine beside this file, with real ones in `integration`."""
