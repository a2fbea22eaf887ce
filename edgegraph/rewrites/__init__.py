"""Equivalent forms of what a program does, one registered rule each, and the rewriter.

A rule looks at one equation of a jaxpr (`rule.Site`) and returns a function that computes the same
another way, or None. `rewriter` replaces chosen equations wherever they stand, inside jit, scan,
cond, remat and custom derivatives, and leaves all else as it is. Which of several forms is quicker
is not decided here but measured, by `edgegraph.studies.improve`.
"""
