"""What a program holds in memory: its values, the buffers they lie in, and the peak.

A scheduled program is laid out as XLA does it: `values`, then `buffers`, then `allocation` in a
`heap`, then what is `live`. A program as it was written has `activations`, by the rules of papers.
Sizes are in bytes of the device's main memory, and exact; what follows XLA's own code names its
class.
"""
