"""Pictures from prompts: work that the job queue pulls, as generators of events.

txt2img      one run, from parameters to saved files      preview      a guess of the picture, without the decoder
description  what is written into each picture            outputs      where files go and how they are called
"""
