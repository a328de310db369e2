"""One plain generator function per sampler.

step       what they share: Step, the split into solving and fresh noise
euler      Euler, Euler a, Heun, Restart, DPM2, DPM2 a: slopes in sigma
multistep  LMS, DPM++ 2M: earlier guesses remembered
sde        DPM++ 2S a, SDE, 2M SDE, 2M SDE Heun, 3M SDE: the stochastic equation
dpm_solver DPM fast, DPM adaptive: blocks of up to three calls
lcm        LCM: for distilled models
timestep   DDIM, DDIM CFG++, PLMS: over training timesteps
unipc      UniPC
"""

from modules.samplers.solvers.step import Step as Step
