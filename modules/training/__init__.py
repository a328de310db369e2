"""Textual inversion: photos in, vectors out, as a generator of events that the job queue pulls.

train          a run from its parameters, or from what an interrupted one left
loop           steps, and what happens between them: snapshots, samples, measurements, states
textual_inversion  one optimiser step: conditioning, loss, gradient, AdamW
batches        what each step learns from, and all that is random about it
dataset        photos as latents, captions, their order      photos         pictures of a folder, cut to size
prompts        template lines with name and caption
templates/     lines of our own wording                      learning_rate  rates and the steps they hold for
held_out       the loss that can be compared between steps   preview        samples, drawn by txt2img
run_folder     where everything of a run lies, and its logs  state          what a run is resumed from
settings_file  the parameters of a run, A1111's too           lock           one process for each run
measure        what snapshots are worth                      obedience      whether prompts are still followed
measurements   kept in the run's folder                      recommend      which snapshot, why, and when to stop
compare        sheets of pictures to choose by               comparison     what such a sheet is, and where it lies
use            the chosen snapshot put into use, and back    uses           what was put into use
estimate       time and memory, measured by trial steps      plan           what can be refused before the start
portraits      the picture that shows an embedding           whereabouts    of photos, and what the loss is on
"""
