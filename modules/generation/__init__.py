"""Pictures from prompts: work that the job queue pulls, as generators of events.

txt2img      one run, from parameters to saved files      preview      a guess of the picture, without the decoder
stages       the passes of a run, before torch            passes       the form in the words of samplers and noise
hires        enlarging between two passes                 upscalers    what can enlarge, by name
seeds        one per picture, and variations              tiling       pictures whose edges fit each other
altered      a network changed for a call             token_merging  attention over fewer tokens
description  what is written into each picture            outputs      where files go and how they are called
"""
