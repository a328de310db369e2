"""Textual-inversion embeddings: one file's format, a folder of them.

embedding  name, vectors, origin               database   which files there are, and what each can do
layout     dictionaries of tensors             creation   initial vectors, good names
reading    any file           writing  .safetensors and .pt           card  pictures that carry one
export     one for elsewhere
"""
