"""What is measured on single updates, by torch's step hooks, for any optimizer.

`recorder` watches an optimizer's steps; `sampled` holds what is computed from one step, `oscillation` what follows
every step of a window. Names and descriptions stand in suite/probes.py, where planning finds them without torch.
"""
