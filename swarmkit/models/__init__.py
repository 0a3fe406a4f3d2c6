"""The nouns of the wire, one module each. Import them from `swarmkit`."""
