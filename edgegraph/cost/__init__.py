"""What every instruction costs, from the price of one execution to that of the whole program.

Costs are an algebra (`cost`): sequence adds, loops multiply, and of the branches of a conditional
the most expensive counts. What is unknown is None; sums over it are lower bounds. Start reading
at `price`.
"""
