"""Latents from noise: schedules of noise levels, guidance by prompts, and solvers that follow them.

Knows no Stable Diffusion: whatever answers like `guidance.Denoiser` can be sampled.

names       every sampler and schedule with its aliases and flags (no torch)
options     what a user may set about a run, and how it is written into a picture (no torch)
sigmas      noise levels of the model, and the schedules made of them
noise       one random generator per image; `philox` draws what an NVIDIA card would, `brownian` for SDE solvers
guidance    prompt, negative prompt and AND parts mixed into one guess
solvers/    one plain generator function per sampler
sample      puts them together
"""
