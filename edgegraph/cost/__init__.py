"""What every instruction costs: XLA's own figures, MACs, loop trips."""
