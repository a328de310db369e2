"""Prompts: text in, structure out. No torch, no pictures.

attention     (word:1.3), [word], BREAK       tags       comments and <lora:…> cut out
schedule      [from:to:when], [a|b]           tokenizer  CLIP token ids
  brackets    its lexer                       matching   embedding names among them
composition   a AND b:0.5                     chunks     75 tokens at a time
old_emphasis  brackets as of early 2022       reading    all of it explained to the user
"""

from modules.prompts.attention import parse_attention
from modules.prompts.composition import parse_composition
from modules.prompts.schedule import parse_schedule

__all__ = ["parse_attention", "parse_composition", "parse_schedule"]
