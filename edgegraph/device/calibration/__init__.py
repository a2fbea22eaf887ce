"""Measuring what this machine can do, through XLA itself.

The best rates are the roofs (`peaks`); typical ones say what to expect of other kernels
(`rate_kernels`). `calibrate` has the plan.
"""
