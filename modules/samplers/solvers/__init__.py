"""One plain generator function per sampler.

step       what they share: Step, the split into solving and fresh noise
euler      Euler, Euler a, Heun, Restart, DPM2, DPM2 a: slopes in sigma
multistep  LMS, DPM++ 2M: earlier guesses remembered
timestep   DDIM, DDIM CFG++, PLMS: over training timesteps
"""

from modules.samplers.solvers.step import Step as Step
