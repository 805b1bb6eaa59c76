"""Edge-MoE on the ZCU102: cycles, traffic, resources and energy, and the numerics of the accelerator in torch.

`platform` has the options, `kernels` the cycles of each kernel, `encoder` and `operators` the kernels of a network,
`resources` and `rules` what fits, `targets` the two targets, `emulation` the fixed-point network.
"""
