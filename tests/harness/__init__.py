"""Real Docker engines for the tests: fetched from Debian's packages, run beside the system, gone afterwards.

Owns everything between "nothing is installed" and "an engine answers on a socket". Must not know swarmkit: a
broken library can neither hide behind nor break what it is tested with.
"""
