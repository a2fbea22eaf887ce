"""What a program holds in memory: its values, the buffers they lie in, and the peak.

A scheduled program is laid out in memory as XLA does it, step by step:

- `values`: the arrays that a program makes, and whose memory they may or must reuse;
- `buffers`: which values lie in the same memory, and from when to when;
- `allocation` and `heap`: where XLA lays the buffers, and how much it sets aside;
- `live`: what is alive at every moment, and what makes the peak.

A program as it was written, before XLA has optimised and scheduled it, has `activations` instead,
which need memory by the rules that papers use.

Sizes are in bytes of the device's main memory, and exact. What follows from XLA's own code names
the class of XLA that it follows.
"""
