"""Remake a picture from its infotext: no gradio, no torch.

fields       keys of an infotext → fields of `Txt2ImgParams`, and overrides for those that are settings
rules        whether a prompt means something else by A1111's rules
maker        which program and release wrote it
differences  what the picture says and what is here, each with a way out; `difference` is one of them
partners     models that drew a part of it
remake       all of it together
"""
